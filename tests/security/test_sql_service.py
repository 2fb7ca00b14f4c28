"""The service's pooled connections: whoever used one before, the next sees its own organization alone, or nothing."""

import threading
from contextlib import suppress
from datetime import timedelta
from random import Random

import hypothesis
import psycopg
from hypothesis import strategies as st

from agent_analytics import store
from agent_analytics.asking import answer
from agent_analytics.period import Days
from agent_analytics.query import Query
from agent_analytics.scope import Principal, scope_of
from agent_analytics.serving import logins
from agent_analytics.settings import Settings
from given import NOW, two_organizations
from people import canaries, connect, login_of

ROUNDS = 150
ORGANIZATIONS = ("acme", "globex")


class Abort(Exception):
    """A transaction is left in the middle."""


def one_use(record: store.Record, organization: str, how: int) -> None:
    """A transaction that sees one organization, and ends in one of five ways."""
    with record.organization(organization) as connection:
        found = connection.execute("select distinct organization from analytics.runs").fetchall()
        assert found == [(organization,)]
        if how == 1:
            raise Abort
        if how == 2:
            connection.execute("select 1 / 0")
        if how == 3:
            connection.execute("rollback")
            assert connection.execute("select count(*) from analytics.runs").fetchone() == (0,)
        if how == 4:
            connection.execute("insert into analytics.organizations (organization, name) values ('other', 'Other')")


def test_nothing_bleeds_between_tenants_of_a_pool(settings: Settings, record: store.Record) -> None:
    canaries(settings, record)
    wrong: list[BaseException] = []

    def work(seed: int) -> None:
        random = Random(seed)
        for _ in range(ROUNDS):
            try:
                with suppress(Abort, psycopg.errors.DivisionByZero, psycopg.errors.InsufficientPrivilege):
                    one_use(record, random.choice(ORGANIZATIONS), random.randrange(5))
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_without_an_identity_there_are_no_rows(settings: Settings, record: store.Record) -> None:
    canaries(settings, record)
    url = store.account_url(settings.database_url or "", store.SERVICE, store.passwords(settings.home)[store.SERVICE])
    with psycopg.connect(url) as connection:
        for table in ("runs", "organizations", "teams", "users", "agent_types", "changes"):
            assert connection.execute(f"select count(*) from analytics.{table}").fetchone() == (0,)
    with record.organization("acme") as connection:
        pass
    with record._transaction(store.SERVICE) as connection:
        assert connection.execute("select count(*) from analytics.runs").fetchone() == (0,)


def test_a_setting_for_the_session_would_bleed(settings: Settings, record: store.Record) -> None:
    """The control: set for longer than a transaction, an identity stays in the pool."""
    canaries(settings, record)
    with record._transaction(store.SERVICE) as connection:
        connection.execute("select set_config('app.organization', 'acme', false)")
    with record._transaction(store.SERVICE) as connection:
        assert connection.execute("select count(*) from analytics.runs").fetchone() == (41,)


TEAMS = st.lists(st.sampled_from(["Search", "Payments", "a'b\"c, d", "nobody's", "Canary"]), max_size=4)
USERS = st.sampled_from(["ada", "bo", "zoë", "nobody"])
PRINCIPALS = st.one_of(
    st.builds(Principal, st.just("ORG_ADMIN"), st.sampled_from(ORGANIZATIONS)),
    st.builds(Principal, st.just("TEAM_LEAD"), st.sampled_from(ORGANIZATIONS), USERS, TEAMS.map(tuple)),
)
EVER = Days(NOW.date() - timedelta(days=60), NOW.date() + timedelta(days=2))
BY_DAY = """
select day, team, count(*), sum(cost), sum(input_tokens)::bigint
from analytics.local_runs group by 1, 2
"""


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(data=st.data())
def test_a_login_reads_exactly_what_answers_count(
    data: st.DataObject, settings: Settings, record: store.Record
) -> None:
    if record.zone("acme") is None:
        two_organizations(record)
    principal = data.draw(PRINCIPALS)
    query = Query(["runs", "cost", "input_tokens"], ["day", "team"], period=EVER)
    counted = [row for row in answer(query, scope_of(principal), record, NOW).rows if row[2]]
    login = login_of(settings, principal)
    with connect(settings, login) as connection:
        rows = connection.execute(BY_DAY).fetchall()
        total = connection.execute("select count(*), sum(cost) from analytics.runs").fetchone()
    logins.end(settings.database_url or "", login.name)
    assert sorted(rows, key=str) == sorted(counted, key=str)
    costs = [cost for *_, cost, _ in counted if cost is not None]
    assert total == (sum(row[2] for row in counted), sum(costs) if costs else None)
