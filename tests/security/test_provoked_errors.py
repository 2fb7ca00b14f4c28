"""Two hundred provoked errors: each has a reference that stands in the log, and tells nothing of the inside."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psycopg
import pytest
from security.world import World, run_id, told

from agent_analytics.store import SERVICE, UNSCOPED
from served import wait_for

INSIDE = (
    *("psycopg", "duckdb", "sqlalchemy", "traceback", "site-packages", "local_runs", "permission denied", "relation"),
    *("select ", ".py", "/home/", "/root", "/tmp/", "agent_analytics_", "password", "host=", "socket", "secret-of-the"),
)
QUERY = {"queries": [{"measures": ["runs"], "by": ["user"]}], "engine": "record"}
VIEW = json.dumps({"panels": [{"name": "a", "query": {"measures": ["runs"]}}]})
GETS: tuple[tuple[str, dict[str, str]], ...] = (
    (f"/v1/runs/{run_id('bo')}", {}),
    ("/v1/runs", {}),
    ("/v1/export/runs.csv", {}),
    ("/v1/export/runs.parquet", {}),
    ("/v1/export/page.zip", {"view": VIEW}),
    ("/v1/audit", {}),
    ("/v1/audit.csv", {}),
)


def provoke(world: World, rounds: int) -> list[httpx2.Response]:
    asked = [world.get("admin", path, **parameters) for path, parameters in GETS for _ in range(rounds)]
    return asked + [world.request("admin", "POST", "/v1/query", json=QUERY) for _ in range(rounds)]


@pytest.fixture
def database(world: World) -> Iterator[psycopg.Connection]:
    with psycopg.connect(str(world.settings.database_url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def check(caplog: pytest.LogCaptureFixture) -> Callable[[list[httpx2.Response], set[int]], None]:
    caplog.set_level(logging.INFO, "agent_analytics")

    def checked(replies: list[httpx2.Response], statuses: set[int]) -> None:
        lines = caplog.text
        for reply in replies:
            assert reply.status_code in statuses, reply.text
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json()["reference"] in lines
            assert not [word for word in INSIDE if word in told(reply).lower()], reply.text
        references = {reply.json()["reference"] for reply in replies}
        assert len(references) == len(replies)

    return checked


def test_what_the_record_refuses(world: World, database: psycopg.Connection, check: Any) -> None:
    """80 failures inside: rights that the service lacks."""
    database.execute(f"revoke select on analytics.runs, analytics.audit from {SERVICE}")
    try:
        replies = provoke(world, 10)
    finally:
        database.execute(f"grant select on analytics.runs, analytics.audit to {SERVICE}")
    unaffected = [reply for reply in replies if reply.status_code == 200]
    assert all("page.zip" in str(reply.request.url) for reply in unaffected)
    check([reply for reply in replies if reply.status_code != 200], {500, 503})
    assert len(replies) - len(unaffected) >= 70


def test_a_record_that_is_away(world: World, server: str, check: Any) -> None:
    """48 while nobody can connect."""
    database = psycopg.connect(server, autocommit=True)
    database.execute("alter database world allow_connections false")
    accounts = [SERVICE, UNSCOPED]
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where usename = any (%s) and datname = 'world'"
    try:
        database.execute(ended, [accounts])
        # The pool waits ten seconds for a connection: once is enough.
        replies = [world.get("admin", "/v1/export/runs.csv") for _ in range(47)]
        replies.append(world.get("admin", f"/v1/runs/{run_id('bo')}"))
    finally:
        database.execute("alter database world allow_connections true")
        database.close()
    check(replies, {503})
    wait_for(lambda: world.get("admin", f"/v1/runs/{run_id('bo')}").status_code == 200)


def test_what_is_asked_wrongly(world: World, check: Any) -> None:
    """100 refusals, of every status that there is."""
    statuses = {401: 0, 403: 0, 404: 0, 405: 0, 413: 0, 414: 0, 422: 0}
    replies = []
    for number in range(100 // 10):
        replies += [
            world.get("none", "/v1/runs"),
            world.get("member", "/v1/audit"),
            world.get("member", f"/v1/runs/{number}"),
            world.get("member", f"/v1/nothing/{number}"),
            world.request("member", "DELETE", "/v1/runs"),
            world.request("member", "POST", "/v1/query", content=b" " * 1_100_000),
            world.get("member", "/v1/runs", where="x" * 60_001),
            world.get("member", "/v1/runs", last=f"{number}"),
            world.get("member", "/v1/runs", limit="many"),
            world.request("member", "POST", "/v1/query", json={"queries": [{"measures": ["cots"]}]}),
        ]
    check(replies, set(statuses))
    assert {reply.status_code for reply in replies} == set(statuses)
