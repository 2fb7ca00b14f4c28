"""The cache follows the record, whatever happens to either."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent_analytics import asking
from agent_analytics.asking import answer
from agent_analytics.cache import Cache, CacheInUse
from agent_analytics.query import Query
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import ADMIN, NOW, a_run, ingest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "runs.duckdb"


def counted(cache: Cache) -> int:
    return answer(Query(["runs"]), ADMIN, cache, NOW).rows[0][0]


def test_only_what_changed_is_read_again(record: Record, path: Path) -> None:
    ingest(record, [a_run("a"), a_run("b", started_at="2026-03-27T09:00:00Z"), a_run("c", organization="globex")])
    with Cache.open(path) as cache:
        assert cache.follow(record) == 2
        assert cache.follow(record) == 0
        ingest(record, [a_run("d")])
        assert (cache.follow(record), counted(cache)) == (1, 3)
        ingest(record, [a_run("d")])
        assert cache.follow(record) == 0


def test_a_corrected_start_leaves_its_old_day(record: Record, path: Path) -> None:
    ingest(record, [a_run("a")])
    with Cache.open(path) as cache:
        cache.follow(record)
        moved = a_run("a", started_at="2026-03-20T09:00:00Z", updated_at="2026-03-29T00:00:00Z")
        ingest(record, [moved])
        assert (cache.follow(record), counted(cache)) == (2, 1)


def test_a_slow_transaction_is_not_missed(record: Record, settings: Settings, path: Path) -> None:
    """It takes its number first and commits last, after the cache has read a later one."""
    ingest(record, [a_run("a")])
    with Cache.open(path) as cache, psycopg.connect(settings.database_url) as slow:
        cache.follow(record)
        copied = "select 'acme', 'slow', agent_type, status, started_at, updated_at from analytics.runs"
        names = "organization, run_id, agent_type, status, started_at, updated_at"
        slow.execute(f"insert into analytics.runs ({names}) {copied}")
        slow.execute("insert into analytics.changes (organization, day) values ('acme', '2026-03-28')")
        ingest(record, [a_run("b", started_at="2026-03-27T09:00:00Z", organization="acme")])
        assert (cache.follow(record), counted(cache)) == (1, 2)
        assert cache.follow(record) == 0
        slow.commit()
        assert (cache.follow(record), counted(cache)) == (1, 3)
        assert cache.follow(record) == 0


def test_an_answer_is_of_one_moment(record: Record, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run changes its team between the statement for the cubes and the one for the runs."""
    ingest(record, [a_run("a"), a_run("b", team="Payments")])
    with Cache.open(path) as cache:
        cache.follow(record)
        figures = asking.scans

        def changing(*asked: Any) -> Iterator[Any]:
            for scan in figures(*asked):
                yield scan
                ingest(record, [a_run("a", team="Other", updated_at="2026-03-29T00:00:00Z")])
                cache.follow(record)

        query = Query(["runs", "duration_p50"], ["team", "user"])
        before = answer(query, ADMIN, cache, NOW).rows
        monkeypatch.setattr(asking, "scans", changing)
        assert answer(query, ADMIN, cache, NOW).rows == before
        monkeypatch.undo()
        assert answer(query, ADMIN, cache, NOW).rows != before


def test_it_goes_on_where_it_was_closed(record: Record, path: Path) -> None:
    ingest(record, [a_run("a"), a_run("b", organization="globex")])
    with Cache.open(path) as cache:
        cache.follow(record)
    ingest(record, [a_run("c")])
    with Cache.open(path) as cache:
        assert not cache.ready
        assert (cache.follow(record), counted(cache)) == (1, 2)


@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 20_000])
def test_a_corrupt_file_is_made_anew(record: Record, path: Path, content: bytes) -> None:
    ingest(record, [a_run("a")])
    path.parent.mkdir()
    path.write_bytes(content)
    with Cache.open(path) as cache:
        cache.follow(record)
        assert counted(cache) == 1


def test_a_file_of_another_version_is_made_anew(record: Record, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(record, [a_run("a")])
    with Cache.open(path) as cache:
        cache.follow(record)
    monkeypatch.setattr("agent_analytics.cache_tables.VERSION", 99)
    with Cache.open(path) as cache:
        assert (cache.follow(record), counted(cache)) == (1, 1)


def test_another_database_is_read_whole(record: Record, path: Path, settings: Settings) -> None:
    ingest(record, [a_run("a")])
    with Cache.open(path) as cache:
        cache.follow(record)
        cache._database.execute("update analytics.position set origin = 'elsewhere'")
        cache._seen = None
        assert (cache.follow(record), counted(cache)) == (1, 1)


def test_it_has_one_owner_and_survives_its_death(record: Record, path: Path) -> None:
    ingest(record, [a_run("a")])
    with Cache.open(path) as cache:
        cache.follow(record)
    owner = subprocess.Popen([sys.executable, "-c", OWN, str(path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"open\n"
    with pytest.raises(CacheInUse):
        Cache.open(path)
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    with Cache.open(path) as cache:
        assert (cache.follow(record), counted(cache)) == (0, 1)


OWN = """
import sys, time
from pathlib import Path
from agent_analytics.cache import Cache
cache = Cache.open(Path(sys.argv[1]))
cache._database.begin()
cache._database.execute("delete from analytics.local_runs")
print("open", flush=True)
time.sleep(60)
"""
