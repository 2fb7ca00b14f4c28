"""The cache may fail in any way: answers go on, from the record, and the cache comes back by itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import duckdb
import pytest

from agent_analytics.answer import Answer
from agent_analytics.period import Days, parse_day
from agent_analytics.query import Query
from agent_analytics.serving.api.engines import Engines
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import ADMIN, two_organizations

MARCH = Days(parse_day("2026-03-01"), parse_day("2026-03-31"))
RUNS = Query(["runs", "cost", "duration_p95"], ["team"], period=MARCH)


@pytest.fixture
def file(settings: Settings) -> Path:
    return settings.home / "cache" / "runs.duckdb"


@contextmanager
def started(settings: Settings) -> Iterator[Engines]:
    assert settings.database_url
    engines = Engines.open(settings.database_url, settings.home)
    engines.start()
    yield engines
    engines.stop()


@pytest.fixture
def engines(settings: Settings, record: Record) -> Iterator[Engines]:
    two_organizations(record)
    with started(settings) as running:
        yield running


def asked(engines: Engines) -> Answer:
    return engines.answers([RUNS], ADMIN, datetime.now(UTC))[0]


def from_the_cache(engines: Engines) -> Answer:
    """The first answer that comes from it."""
    deadline = time.monotonic() + 60
    while (found := asked(engines)).engine != "cache":
        assert time.monotonic() < deadline, "The cache never came back."
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("failure", [duckdb.FatalException, duckdb.IOException, duckdb.ConnectionException])
def test_a_cache_that_fails_is_made_anew(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, failure: type[duckdb.Error]
) -> None:
    expected, old = from_the_cache(engines), engines.cache

    def fails(_: object) -> NoReturn:
        raise failure("the disk is on fire")

    monkeypatch.setattr(engines.cache, "reading", fails)
    meanwhile = asked(engines)
    assert (meanwhile.engine, meanwhile.rows) == ("record", expected.rows)
    assert from_the_cache(engines).rows == expected.rows
    assert engines.cache is not old


def test_a_question_too_large_for_the_cache_is_asked_of_the_record(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, cache = from_the_cache(engines), engines.cache

    def fails(_: object) -> NoReturn:
        raise duckdb.OutOfMemoryException("1 GB is not enough")

    monkeypatch.setattr(cache, "reading", fails)
    assert asked(engines).rows == expected.rows
    monkeypatch.undo()
    assert (engines.cache, asked(engines).engine) == (cache, "cache")


def test_a_file_that_is_damaged_within_is_made_anew(record: Record, settings: Settings, file: Path) -> None:
    """Its head is whole, so that it opens; what is in it is not what was written."""
    two_organizations(record)
    with started(settings) as engines:
        expected = from_the_cache(engines)
    content = bytearray(file.read_bytes())
    content[12_288:] = bytes(byte ^ 0x5A for byte in content[12_288:])
    file.write_bytes(content)
    with started(settings) as engines:
        assert asked(engines).rows == expected.rows
        assert from_the_cache(engines).rows == expected.rows
