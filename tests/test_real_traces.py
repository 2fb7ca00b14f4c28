"""Three real traces, taken in and asked through the command line, equal their exact totals."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent_analytics.cli import main
from agent_analytics.settings import Settings

FILES = {"metr": "metr.jsonl.gz", "aider": "aider.jsonl.gz", "azure": "azure.csv"}
PERIODS = {
    "metr": ("--from", "2024-10-01", "--to", "2025-01-31"),
    "aider": ("--from", "2025-06-01", "--to", "2026-05-31"),
    "azure": ("--from", "2023-11-16", "--to", "2023-11-16"),
}
NANO = Decimal("1e-9")


@pytest.fixture(params=sorted(FILES))
def trace(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def expected(shared: Path, trace: str) -> dict[str, Any]:
    return json.loads((shared / "runs" / "expected.json").read_text(), parse_float=Decimal)[trace]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command on the test's installation; its output."""
    monkeypatch.setenv("AGENT_ANALYTICS_HOME", str(settings.home))
    monkeypatch.setenv("AGENT_ANALYTICS_DATABASE_URL", str(settings.database_url))

    def run(*words: str) -> str:
        assert main(words) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture(params=["cache", "record"])
def ask(request: pytest.FixtureRequest, command, shared: Path, trace: str):
    """Rows of an engine that has taken in the trace, as objects."""
    command("ingest", "runs", str(shared / "runs" / FILES[trace]))

    def asked(*words: str) -> list[dict[str, Any]]:
        options = ("--as", f"ORG_ADMIN:{trace}", *PERIODS[trace], "--engine", request.param, "--format", "json")
        return json.loads(command("query", *words, *options), parse_float=Decimal)

    return asked


def test_totals(ask, expected: dict[str, Any]) -> None:
    (found,) = ask("runs", "succeeded", "failed", "cancelled", "running", "input_tokens", "output_tokens")
    status = {name: found[name] for name in ("succeeded", "failed", "cancelled", "running") if found[name]}
    assert found["runs"] == expected["runs"]
    assert status == expected["status"]
    assert (found["input_tokens"], found["output_tokens"]) == (expected["input_tokens"], expected["output_tokens"])


def test_cost_within_a_nano_dollar_a_run(ask, expected: dict[str, Any]) -> None:
    (found,) = ask("cost", "cost_coverage", "runs")
    assert found["cost_coverage"] * found["runs"] == expected["runs_with_cost"]
    if expected["cost"] is None:
        assert found["cost"] is None
    else:
        assert abs(found["cost"] - Decimal(expected["cost"])) <= NANO * expected["runs_with_cost"]


def test_by_agent_type_by_day_and_by_error(ask, expected: dict[str, Any]) -> None:
    agents = {row["agent_type"]: row["runs"] for row in ask("runs", "--by", "agent_type")}
    days = {row["day"]: row["runs"] for row in ask("runs", "--by", "day")}
    errors = {row["error_category"]: row["runs"] for row in ask("runs", "--by", "error_category")}
    assert agents == expected["by_agent_type"]
    assert {day: runs for day, runs in days.items() if runs} == expected["by_day_utc"]
    assert errors == dict(expected["error_category"])


def test_durations(ask, expected: dict[str, Any]) -> None:
    (found,) = ask("duration_avg", "duration_p50", "duration_p95", "duration_p99")
    if expected["duration"] is None:
        assert set(found.values()) == {None}
        return
    assert (found["duration_avg"] * expected["duration"]["n"]).quantize(Decimal("0.001")) == expected["duration"]["sum"]
    for name in ("p50", "p95", "p99"):
        assert found[f"duration_{name}"] == expected["duration"][name]


def test_days_move_with_the_organizations_zone(command, shared: Path) -> None:
    """In Los Angeles most of these runs fall on another day than in UTC."""
    command("ingest", "runs", str(shared / "runs" / FILES["metr"]))
    days = {}
    for zone in ("UTC", "America/Los_Angeles"):
        command("organization", "set", "metr", "--timezone", zone)
        words = ("runs", "--by", "day", "--as", "ORG_ADMIN:metr", *PERIODS["metr"], "--format", "json")
        days[zone] = {row["day"]: row["runs"] for row in json.loads(command("query", *words))}
    assert sum(days["UTC"].values()) == sum(days["America/Los_Angeles"].values()) == 6852
    assert days["UTC"] != days["America/Los_Angeles"]
