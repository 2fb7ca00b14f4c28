"""A person's database login: what it is, how long it lasts, and that nobody can make it last longer."""

import logging
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from agent_analytics import store
from agent_analytics.errors import Forbidden, RecordUnavailable
from agent_analytics.scope import Principal
from agent_analytics.serving import logins
from agent_analytics.serving.watchdog import Watchdog
from agent_analytics.settings import Settings
from people import ADMIN, LEAD, LIFTED, TOTALS, canaries, connect, login_of
from served import wait_for


def url_of(settings: Settings) -> str:
    assert settings.database_url
    return settings.database_url


def asked(settings: Settings, statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(url_of(settings), autocommit=True) as connection:
        return connection.execute(statement, values).fetchall()


def exists(settings: Settings, login: logins.Login) -> bool:
    role = asked(settings, "select from pg_roles where rolname = %s", login.name)
    row = asked(settings, "select from analytics.logins where login = %s", login.name)
    assert bool(role) == bool(row)
    return bool(role)


def ended(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def test_a_login_says_nothing_of_whose_it_is(settings: Settings) -> None:
    login = login_of(settings, LEAD)
    assert logins.NAME.fullmatch(login.name)
    assert login.password not in repr(login)
    about = asked(
        settings, "select r::text, shobj_description(r.oid, 'pg_authid') from pg_roles r where rolname = %s", login.name
    )
    assert not [word for word in ("acme", "ada", "Search") if word in str(about)]
    verifier = asked(settings, "select rolpassword from pg_authid where rolname = %s", login.name)
    assert verifier[0][0].startswith("SCRAM-SHA-256$")


def test_its_address_holds_no_secret_but_its_own(settings: Settings) -> None:
    login = logins.Login("aa_0123456789abcdef", "own", datetime.now(UTC))
    theirs = "postgresql://boss:hidden@db.example.com:6432/facts?sslmode=require&options=-cx%3Dy&passfile=/p&user=boss"
    found = login.url(Settings(home=settings.home, database_url=theirs))
    assert found == "postgresql://aa_0123456789abcdef:own@/facts?host=db.example.com&port=6432&sslmode=require"


@pytest.mark.parametrize("role", ["MEMBER", "PLATFORM_ADMIN"])
def test_sql_is_for_leads_and_admins(role: str, settings: Settings) -> None:
    organization = None if role == "PLATFORM_ADMIN" else "acme"
    with pytest.raises(Forbidden, match=f"SQL is for ORG_ADMIN and TEAM_LEAD; {role}"):
        login_of(settings, Principal(role, organization, user="ada"))


def test_an_expired_login_reads_nothing_and_cannot_come_back(settings: Settings, record: store.Record) -> None:
    canaries(settings, record)
    login = login_of(settings, ADMIN)
    with connect(settings, login) as connection:
        asked(settings, "update analytics.logins set expires_at = now() returning 1")
        assert connection.execute(TOTALS).fetchone() == (0, None, 0, 0)
        with pytest.raises(Forbidden, match="Open JupyterLab again"):
            logins.renew(url_of(settings), login.name, ADMIN, datetime.now(UTC), 600)
    assert not exists(settings, login)


def test_the_password_is_of_no_use_after_its_time(settings: Settings) -> None:
    login = login_of(settings, ADMIN, seconds=-1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(login.url(settings))


def test_it_is_renewed_while_the_rights_last(settings: Settings) -> None:
    login, now = login_of(settings, LEAD, seconds=5), datetime.now(UTC)
    later = logins.renew(url_of(settings), login.name, LEAD, now, 600)
    assert later == now + timedelta(seconds=600)
    assert asked(settings, "select expires_at from analytics.logins where login = %s", login.name) == [(later,)]
    assert asked(settings, "select rolvaliduntil from pg_roles where rolname = %s", login.name) == [(later,)]


@pytest.mark.parametrize(
    "changed",
    [
        Principal("TEAM_LEAD", "acme", user="ada", teams=("Search",)),
        Principal("TEAM_LEAD", "acme", user="bo", teams=LEAD.teams),
        Principal("TEAM_LEAD", "globex", user="ada", teams=LEAD.teams),
        Principal("ORG_ADMIN", "acme", user="ada", teams=LEAD.teams),
        Principal("MEMBER", "acme", user="ada", teams=LEAD.teams),
    ],
    ids=str,
)
def test_a_change_of_rights_ends_it_and_what_it_runs(changed: Principal, settings: Settings) -> None:
    login = login_of(settings, LEAD)
    with connect(settings, login) as connection:
        with pytest.raises(Forbidden, match="your rights changed"):
            logins.renew(url_of(settings), login.name, changed, datetime.now(UTC), 600)
        assert ended(connection)
    assert not exists(settings, login)


def test_its_end_is_final_and_can_be_asked_for_twice(settings: Settings) -> None:
    login, other = login_of(settings, LEAD), login_of(settings, LEAD)
    with connect(settings, login) as connection, connect(settings, other) as untouched:
        for _ in range(2):
            logins.end(url_of(settings), login.name)
        assert (ended(connection), ended(untouched)) == (True, False)
    assert (exists(settings, login), exists(settings, other)) == (False, True)


def test_no_other_account_can_be_ended_by_mistake(settings: Settings) -> None:
    with pytest.raises(Forbidden, match="is not a person's database login"):
        logins.end(url_of(settings), store.SERVICE)


def test_more_connections_than_a_few_are_refused(settings: Settings) -> None:
    login = login_of(settings, LEAD)
    with ExitStack() as held:
        for _ in range(logins.MOST_CONNECTIONS):
            held.enter_context(connect(settings, login))
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            psycopg.connect(login.url(settings))


def test_sweeping_leaves_no_halves_and_touches_no_other_database(settings: Settings) -> None:
    now = datetime.now(UTC)
    late, fresh, roleless, rowless = (login_of(settings, LEAD, seconds) for seconds in (-1, 600, 600, 600))
    with psycopg.connect(url_of(settings), autocommit=True) as admin:
        admin.execute(f"drop role {roleless.name}")
        admin.execute("delete from analytics.logins where login = %s", [rowless.name])
        admin.execute("create role aa_ffffffffffffffff")
        admin.execute("comment on role aa_ffffffffffffffff is 'agent_analytics login of database 1'")
    assert set(logins.sweep(url_of(settings), now)) >= {late.name, roleless.name, rowless.name}
    assert [exists(settings, each) for each in (late, fresh, roleless, rowless)] == [False, True, False, False]
    assert logins.sweep(url_of(settings), now) == []
    assert asked(settings, "select from pg_roles where rolname = 'aa_ffffffffffffffff'") == [()]
    with psycopg.connect(url_of(settings), autocommit=True) as admin:
        admin.execute("drop role aa_ffffffffffffffff")


def test_a_query_ends_although_its_timeout_was_lifted(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    endless = "select count(*) from generate_series(1, 1e12), generate_series(1, 1e12) as secret_text"
    with connect(settings, login_of(settings, LEAD)) as connection, Watchdog(url_of(settings), 0.3, every=0.05):
        for statement in LIFTED:
            connection.execute(statement)
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(endless)
        assert not ended(connection)
    assert "Ended a query of aa_" in caplog.text
    assert "(acme, ada): too long" in caplog.text
    assert "secret_text" not in caplog.text


def test_a_query_that_will_not_end_loses_its_session(settings: Settings) -> None:
    """A block that catches its cancelling goes on; on a server of yours everyone may write one."""
    stubborn = """do $$ begin loop begin perform count(*) from generate_series(1, 1e12);
                   exception when query_canceled then null; end; end loop; end $$"""
    login = login_of(settings, LEAD)
    with psycopg.connect(url_of(settings), autocommit=True) as admin:
        admin.execute(f"grant usage on language plpgsql to {login.name}")
    with connect(settings, login) as connection, Watchdog(url_of(settings), 0.3, every=0.05):
        connection.execute("set statement_timeout = 0")
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute(stubborn)


@pytest.mark.parametrize(
    "statements",
    [["begin", "select 1"], ["begin", "declare c cursor for select * from analytics.runs"]],
    ids=["idle in a transaction", "a cursor kept open"],
)
def test_an_open_transaction_ends(statements: list[str], settings: Settings) -> None:
    with connect(settings, login_of(settings, LEAD)) as connection, Watchdog(url_of(settings), 0.3, every=0.05):
        connection.execute("set idle_in_transaction_session_timeout = 0")
        for statement in statements:
            connection.execute(statement)
        wait_for(lambda: pids(settings, connection) == [])
        assert ended(connection)


def pids(settings: Settings, connection: psycopg.Connection[Any]) -> list[Any]:
    return asked(settings, "select pid from pg_stat_activity where pid = %s", connection.info.backend_pid)


def test_too_many_temporary_files_end_a_session(settings: Settings) -> None:
    large = "declare c cursor for select g from generate_series(1, 2000000) g order by random()"
    with connect(settings, login_of(settings, LEAD)) as connection:
        connection.execute("set work_mem = '64kB'")
        connection.execute("begin")
        connection.execute(large)
        connection.execute("fetch 1 from c")
        with Watchdog(url_of(settings), 600, bytes=1_000_000, every=0.05):
            wait_for(lambda: pids(settings, connection) == [])


def test_an_advisory_lock_is_not_held_for_long(settings: Settings) -> None:
    """On a server of yours everyone may take one, and the ingest would wait for it."""
    login = login_of(settings, LEAD)
    with psycopg.connect(url_of(settings), autocommit=True) as admin:
        admin.execute(f"grant execute on function pg_advisory_lock(bigint) to {login.name}")
    with connect(settings, login) as connection, Watchdog(url_of(settings), 600, every=0.05):
        connection.execute("select pg_advisory_lock(1)")
        wait_for(lambda: pids(settings, connection) == [])


def test_an_open_session_ends_with_its_login(settings: Settings) -> None:
    login = login_of(settings, LEAD, seconds=1.5)
    with connect(settings, login) as connection, Watchdog(url_of(settings), 600, every=0.05):
        wait_for(lambda: pids(settings, connection) == [], 5)
        assert ended(connection)


def test_the_watchdog_looks_again_after_it_lost_its_connection(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with Watchdog(url_of(settings), 0.3, every=0.05):
        own = "select pid from pg_stat_activity where application_name = 'agent-analytics-watchdog'"
        own += " and datname = current_database()"
        wait_for(lambda: asked(settings, own))
        asked(settings, f"select pg_terminate_backend(pid, 5000) from ({own}) as one")
        wait_for(lambda: "could not look" in caplog.text)
        with connect(settings, login_of(settings, LEAD)) as connection:
            connection.execute("begin")
            wait_for(lambda: pids(settings, connection) == [])


def test_the_service_and_the_rest_are_left_alone(settings: Settings, record: store.Record) -> None:
    with Watchdog(url_of(settings), 0.1, every=0.02), record.organization("acme") as connection:
        connection.execute("select pg_advisory_xact_lock(7)")
        threading.Event().wait(0.5)
        assert connection.execute("select 1").fetchone() == (1,)


def test_logins_made_at_once_do_not_disturb_each_other(settings: Settings) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(login_of(settings, LEAD).name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8


def test_an_account_that_may_not_make_them_is_told_what_it_needs(settings: Settings) -> None:
    own = store.account_url(url_of(settings), store.SERVICE, store.passwords(settings.home)[store.SERVICE])
    with pytest.raises(RecordUnavailable, match="must be allowed to create roles"):
        logins.issue(own, LEAD, datetime.now(UTC), 60)
