"""Publishing: once and whole, whoever else publishes and whatever dies; the command; what the API says of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from agent_analytics.cli import main
from agent_analytics.client import Session
from agent_analytics.errors import Forbidden
from agent_analytics.period import Last
from agent_analytics.privacy import publish
from agent_analytics.query import Query
from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import NOW, ingest, runs_of
from served import served, wait_for

COUNTS = [
    f"select count(*) from analytics.{table}" for table in ("published_lines", "published_people", "published_runs")
]


@contextmanager
def held_back(settings: Settings) -> Iterator[psycopg.Connection]:
    """Publishers come as far as the people of their lines, and wait there."""
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("lock table analytics.published_people in share mode")
        yield connection


def waiting(connection: psycopg.Connection) -> int:
    rows = connection.execute("select count(*) from pg_locks where not granted and database is not null").fetchall()
    return rows[0][0]


def counts(settings: Settings) -> list[int]:
    with psycopg.connect(settings.database_url) as connection:
        return [connection.execute(count).fetchall()[0][0] for count in COUNTS]


def test_of_two_publishers_at_once_one_publishes(record: Record, settings: Settings) -> None:
    ingest(record, [*runs_of(range(12)), *runs_of(range(9), "test")])
    with ThreadPoolExecutor(2) as pool:
        with held_back(settings) as holding:
            both = [pool.submit(publish, record, NOW) for _ in range(2)]
            wait_for(lambda: waiting(holding) == 2)
        assert sorted(found.lines for each in both for found in each.result()) == [0, 2]
    assert counts(settings) == [2, 21, 21]


def test_one_that_is_killed_leaves_nothing_half(record: Record, settings: Settings) -> None:
    ingest(record, runs_of(range(12)))
    environment = {"AGENT_ANALYTICS_HOME": str(settings.home), "AGENT_ANALYTICS_DATABASE_URL": settings.database_url}
    command = [sys.executable, "-m", "agent_analytics.cli", "publish"]
    with held_back(settings) as holding:
        process = subprocess.Popen(command, env=os.environ | environment)
        wait_for(lambda: waiting(holding) == 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: counts(settings) == [0, 0, 0])
    assert [found.lines for found in publish(record, NOW)] == [1]
    assert counts(settings) == [1, 12, 12]


@pytest.mark.parametrize("table", ["published_lines", "published_people", "published_runs"])
@pytest.mark.parametrize("change", ["update analytics.{} set organization = 'x'", "delete from analytics.{}"])
def test_what_is_published_stays_as_it_is(record: Record, table: str, change: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), record.organization("acme") as connection:
        connection.execute(change.format(table))


def test_each_organization_publishes_its_own(record: Record) -> None:
    ingest(record, [*runs_of(range(12)), *runs_of(range(9), organization="globex")])
    assert [(each.organization, each.lines, each.waiting) for each in publish(record, NOW)] == [
        ("acme", 1, 0),
        ("globex", 0, 9),
    ]


def test_the_command_tells_what_it_did_and_members_ask(record: Record, settings: Settings, monkeypatch, capsys) -> None:
    monkeypatch.setenv("AGENT_ANALYTICS_HOME", str(settings.home))
    monkeypatch.setenv("AGENT_ANALYTICS_DATABASE_URL", str(settings.database_url))
    day = datetime.now(UTC).date() - timedelta(days=2)
    few = runs_of(range(9), day=day, organization="globex")
    ingest(record, [*runs_of(range(12), day=day), *runs_of(range(2), "rare", day), *few])
    assert main(["publish"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "acme\tlines: 1, people: 12, runs waiting: 2",
        "globex\toff: 9 people were active in the last 30 days; 10 must be; runs waiting: 9",
    ]
    words = ("runs", "--as", "MEMBER:acme:u0", "--last", "7d", "--anonymous")
    assert main(["query", *words, "--by", "agent_type", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == ["agent_type,runs", "review,12"]
    assert main(["query", *words]) == 0
    assert "You see figures of all of acme that tell of nobody" in capsys.readouterr().out
    assert main(["query", *words, "--by", "user"]) == 1
    assert "Anonymous figures are not split by user" in capsys.readouterr().err


def test_members_ask_the_api(record: Record, settings: Settings) -> None:
    now = datetime.now(UTC)
    ingest(record, runs_of(range(12), day=now.date() - timedelta(days=2)))
    ingest(record, runs_of(range(6), "test", day=now.date(), team="Search", started_at=now.isoformat()))
    publish(record, now)
    with served(settings) as url:

        def session(principal: Principal) -> Session:
            return Session(url, lambda: tokens.issue(settings.home, principal, datetime.now(UTC)))

        member = session(Principal("MEMBER", "acme", "u0"))
        query = Query(["runs"], period=Last(7))
        own, everybody = member.answer(query), member.answer(query, anonymous=True)
        assert (own.rows, everybody.rows) == (((2,),), ((12,),))
        assert (everybody.engine, everybody.as_of) == ("record", now)
        with pytest.raises(Forbidden, match="not split by team"):
            member.answer(Query(["runs"], ["team"]), anonymous=True)
        with pytest.raises(Forbidden, match="you belong to none"):
            session(Principal("PLATFORM_ADMIN", None)).answer(query, anonymous=True)
        assert member.rank("Search").text == "You are the most active of 6 in Search this month."
        with pytest.raises(Forbidden, match="You have no rank in Payments"):
            member.rank("Payments")
