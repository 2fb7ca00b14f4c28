"""Where people reach the record: by a socket of their own as root; on your own server with few rights of ours."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from conftest import at_database

from agent_analytics import store
from agent_analytics.commands import doctor
from agent_analytics.errors import Forbidden
from agent_analytics.scope import Principal
from agent_analytics.serving import cluster, logins, postgres
from agent_analytics.serving.watchdog import Watchdog
from agent_analytics.settings import Settings
from people import ADMIN, LEAD, TOTALS, canaries, connect, login_of
from served import wait_for

SOMEBODY = 54321


def as_somebody(call: Callable[[], object]) -> str:
    """What the call says, made by an account of the machine that has no rights."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.setgroups([])
            os.setgid(SOMEBODY)
            os.setuid(SOMEBODY)
            told = str(call())
        except Exception as error:
            told = str(error)
        os.write(writer, told.encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    with open(reader) as file:
        return file.read()


def test_other_accounts_reach_the_server_by_their_own_place_alone(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, which gives each person an account")
    settings = Settings(home=home)
    with postgres.running(settings) as url:
        postgres.migrate(settings)
        login = logins.issue(url, ADMIN, datetime.now(UTC), 600)
        place = cluster.people_place(home)
        assert (place.stat().st_mode, place.stat().st_uid) == (0o40711, cluster.account_to_run_as().pw_uid)

        def asks(url: str) -> str:
            return as_somebody(lambda: psycopg.connect(url).execute("select count(*) from analytics.runs").fetchone())

        assert asks(login.url(settings)) == "(0,)"
        assert "Permission denied" in asks(login.url(settings).replace("%2Fsql", "%2Fpostgres"))
        assert "password authentication failed" in asks(login.url(settings).replace(login.password, "guess"))
        assert as_somebody(lambda: (place / "squatted").touch()).startswith("[Errno 13]")
        assert as_somebody(lambda: os.listdir(place)).startswith("[Errno 13]")


def test_without_root_there_is_one_place_and_nobody_else_enters(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cluster.people_place(home) == cluster.socket_place(home)


def test_the_embedded_server_trusts_nobody_without_a_password(home: Path) -> None:
    with postgres.running(Settings(home=home)) as url, psycopg.connect(url) as admin:
        methods = admin.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
    assert methods == [("scram-sha-256",)]


@pytest.fixture
def modest(server: str, home: Path, template: str, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """An installation whose account owns its database and may create roles, and nothing more."""
    name = re.sub(r"\W", "_", f"modest_{template}_{home.name}")
    roles = ("agent_analytics_owner", logins.PEOPLE, store.SERVICE, store.UNSCOPED)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create role {name} login createrole password 'modest'")
        admin.execute(f"grant {', '.join(roles)} to {name} with admin option")
        admin.execute(f"create database {name} owner {name}")
        settings = Settings(home=home, database_url=store.account_url(at_database(server, name), name, "modest"))
        postgres.migrate(settings)
        yield settings
        admin.execute(f"drop database {name} with (force)")


def test_an_account_that_may_only_create_roles_suffices(modest: Settings, caplog: pytest.LogCaptureFixture) -> None:
    url = modest.database_url or ""
    with store.Record(url, modest.home) as record:
        canaries(modest, record)
    login = login_of(modest, LEAD)
    with connect(modest, login) as person:
        assert person.execute(TOTALS).fetchone()[0] == 25  # type: ignore[index]
        with Watchdog(url, 0.3, every=0.05):
            person.execute("set statement_timeout = 0")
            with pytest.raises(psycopg.errors.QueryCanceled):
                person.execute("select count(*) from generate_series(1, 1e12) a, generate_series(1, 1e12) b")
            person.execute("select pg_advisory_lock(1)")
            wait_for(lambda: gone(person))
    assert logins.renew(url, login.name, LEAD, datetime.now(UTC), 600) > datetime.now(UTC)
    with connect(modest, login), pytest.raises(Forbidden):
        logins.renew(url, login.name, Principal("MEMBER", "acme", user="ada"), datetime.now(UTC), 600)
    with psycopg.connect(url) as admin:
        assert admin.execute("select from pg_roles where rolname = %s", [login.name]).fetchall() == []
        assert admin.execute("select from analytics.logins").fetchall() == []


def test_doctor_says_what_such_a_server_leaves_open(modest: Settings, settings: Settings) -> None:
    with store.Record(modest.database_url or "", modest.home) as record:
        told = doctor._open_to_people(record)
    assert "can also use large objects, advisory locks, DO blocks" in told
    assert "temporary tables" not in told


def gone(person: psycopg.Connection[Any]) -> bool:
    try:
        person.execute("select 1")
    except psycopg.errors.AdminShutdown:
        return True
    return False


@contextmanager
def api(settings: Settings, port: int) -> Iterator[subprocess.Popen[str]]:
    variables = {"HOME": str(settings.home), "PORT": str(port), "DATABASE_URL": settings.database_url or ""}
    environment = {f"AGENT_ANALYTICS_{name}": value for name, value in variables.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_analytics.cli", "serve", "api"],
        env={**os.environ, **environment, "AGENT_ANALYTICS_SQL_SECONDS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_api_keeps_watch(settings: Settings, port: int) -> None:
    with api(settings, port):
        live = f"http://127.0.0.1:{Settings(home=settings.home, port=port).port_of('api')}/services/api/health/live"
        wait_for(lambda: answers(live))
        with connect(settings, login_of(settings, LEAD)) as person:
            person.execute("set statement_timeout = 0")
            with pytest.raises(psycopg.errors.QueryCanceled):
                person.execute("select count(*) from generate_series(1, 1e12) a, generate_series(1, 1e12) b")


def answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.HTTPError:
        return False
