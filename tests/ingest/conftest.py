"""What the ingest's tests look at: the record's rows, and the command line."""

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.rows import dict_row

from agent_analytics.cli import main
from agent_analytics.settings import Settings
from agent_analytics.store import Record

Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def rows(record: Record) -> Rows:
    """Rows of the record, by SQL, of every organization."""

    def select(text: str = "select * from analytics.runs order by organization, run_id", *values: Any):
        with record.unscoped_reader() as connection, connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("set local timezone = 'UTC'")
            return cursor.execute(text, values).fetchall()

    return select


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `agent-analytics ingest runs …` on the test's installation: exit status, output, errors."""
    monkeypatch.setenv("AGENT_ANALYTICS_HOME", str(settings.home))
    monkeypatch.setenv("AGENT_ANALYTICS_DATABASE_URL", str(settings.database_url))

    def run(*words: object) -> tuple[int, str, str]:
        return main(["ingest", "runs", *map(str, words)]), *capsys.readouterr()

    return run
