"""What would leak: each way that stock PostgreSQL leaves open, shown to give rows away where ours does not."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from agent_analytics import store
from agent_analytics.serving.logins import PEOPLE, Login
from agent_analytics.settings import Settings
from people import LEAD, TOTALS, attempt, canaries, login_of

Admin = psycopg.Connection[Any]
EVERYTHING = (101,)


@pytest.fixture
def lead(settings: Settings, record: store.Record) -> Login:
    canaries(settings, record)
    return login_of(settings, LEAD)


@pytest.fixture
def admin(settings: Settings, lead: Login) -> Iterator[Admin]:
    with psycopg.connect(settings.database_url or "", autocommit=True) as connection:
        yield connection


def test_a_policy_by_a_setting_is_no_wall_for_who_writes_sql(settings: Settings, lead: Login, admin: Admin) -> None:
    admin.execute("create table public.by_setting as select * from analytics.runs")
    admin.execute("alter table public.by_setting enable row level security")
    admin.execute(f"create policy p on public.by_setting to {PEOPLE} using (organization = current_setting('app.o'))")
    admin.execute(f"grant select on public.by_setting to {PEOPLE}")
    forged = ["set app.o = 'globex'", "select count(*) from public.by_setting"]
    assert attempt(settings, lead, forged).last == (60,)
    assert attempt(settings, lead, ["set app.organization = 'globex'", TOTALS]).last[0] == 25


@pytest.mark.parametrize("kind", ["view", "materialized view"])
def test_a_view_with_its_owners_rights_gives_away_all(kind: str, settings: Settings, lead: Login, admin: Admin) -> None:
    admin.execute(f"create {kind} public.all_runs as select * from analytics.runs")
    admin.execute(f"grant select on public.all_runs to {PEOPLE}")
    assert attempt(settings, lead, ["select count(*) from public.all_runs"]).last == EVERYTHING
    assert attempt(settings, lead, ["select count(*) from analytics.local_runs"]).last == (25,)


def test_a_granted_partition_is_not_under_its_parents_policies(settings: Settings, lead: Login, admin: Admin) -> None:
    admin.execute("create table public.parted (like analytics.runs) partition by list (organization)")
    admin.execute("create table public.part partition of public.parted default")
    admin.execute("insert into public.parted select * from analytics.runs")
    admin.execute("alter table public.parted enable row level security")
    admin.execute(f"grant select on all tables in schema public to {PEOPLE}")
    assert attempt(settings, lead, ["select count(*) from public.parted"]).last == (0,)
    assert attempt(settings, lead, ["select count(*) from public.part"]).last == EVERYTHING


def test_a_definer_function_without_a_search_path_obeys_its_caller(
    settings: Settings, lead: Login, admin: Admin
) -> None:
    admin.execute(f"grant temporary on database {admin.info.dbname} to {PEOPLE}")
    admin.execute("set check_function_bodies = off")
    for name, path in (("lax", ""), ("strict", "set search_path = analytics, pg_temp")):
        admin.execute(
            f"create function public.{name}() returns text language sql security definer {path}"
            " as 'select organization from logins where login = session_user'"
        )
    forged = ["create temporary table logins as select 'globex' as organization, session_user::text as login"]
    assert attempt(settings, lead, [*forged, "select public.lax()"]).last == ("globex",)
    assert attempt(settings, lead, [*forged, "select public.strict()"]).last == ("acme",)
    assert attempt(settings, lead, [*forged, "set search_path = pg_temp, analytics", TOTALS]).last[0] == 25


def test_a_leaky_function_is_asked_of_visible_rows_alone(settings: Settings, lead: Login, admin: Admin) -> None:
    admin.execute(f"grant temporary on database {admin.info.dbname} to {PEOPLE}")
    admin.execute(f"grant usage on language plpgsql to {PEOPLE}")
    tells = [
        "create function pg_temp.tells(text) returns bool language plpgsql cost 0.0000001"
        " as $$begin raise notice '%', $1; return true; end$$",
        "create operator pg_temp.=== (leftarg = text, rightarg = text, procedure = texteq)",
        "select count(*) from analytics.runs where pg_temp.tells(run_id) and run_id operator(pg_temp.===) run_id",
    ]
    told = attempt(settings, lead, tells)
    assert (told.last, len(set(told.notices))) == ((25,), 25)
    assert not [notice for notice in told.notices if "canary" in notice or "otter" in notice]


def test_estimates_are_the_same_for_every_person(settings: Settings, lead: Login, admin: Admin) -> None:
    """With statistics the planner's guess tells whether somebody exists in another organization."""

    def guess(condition: str) -> str:
        told = attempt(settings, lead, [f"explain select * from analytics.runs where {condition}"])
        return " ".join(line.split("rows=")[1].split()[0] for (line,) in told.rows if "rows=" in line)

    admin.execute("analyze analytics.runs")
    assert guess("\"user\" = 'canary-user'") == guess("\"user\" = 'nobody'")
    admin.execute('alter table analytics.runs alter "user" set statistics 100')
    admin.execute("analyze analytics.runs")
    assert guess("\"user\" = 'canary-user'") != guess("\"user\" = 'nobody'")


def test_a_name_of_another_organization_cannot_be_probed_by_a_key(settings: Settings, lead: Login) -> None:
    """Whether a key exists is told by a conflict alone, and nothing can be written."""
    for name in ("globex", "nowhere"):
        told = attempt(
            settings, lead, [f"insert into analytics.organizations values ('{name}') on conflict do nothing"]
        )
        assert str(told.error) == "permission denied for table organizations"


def test_a_lead_reads_names_that_own_rows_show(settings: Settings, lead: Login) -> None:
    def names(column: str, table: str) -> set[str]:
        return {name for (name,) in attempt(settings, lead, [f'select "{column}" from analytics.{table}']).rows}

    assert names("organization", "organizations") == {"acme"}
    assert names("team", "teams") == {"Search", "Pay'ments", "Own-elsewhere"}
    assert names("user", "users") == {"ada", "bo"}
    assert names("agent_type", "agent_types") == {"review"}


def test_what_is_sent_to_listeners_tells_nothing_of_runs(settings: Settings, lead: Login, record: store.Record) -> None:
    with psycopg.connect(lead.url(settings), autocommit=True) as connection:
        for (channel,) in connection.execute("select distinct nspname from pg_namespace").fetchall():
            connection.execute(f'listen "{channel}"')
        canaries(settings, record)
        assert list(connection.notifies(timeout=0)) == []
