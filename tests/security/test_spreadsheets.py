"""Formulas through every text field into every CSV over HTTP: no cell is one, and numbers stay numbers."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from agent_analytics.ingest import from_dicts
from agent_analytics.ingest.runs import ingest_runs
from agent_analytics.output import NUMBER, RISKY
from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import a_run
from served import served

FIELDS = ("run_id", "user", "team", "agent_type", "model", "model_version", "error_category", "error_message")
NUMBERS = ("-5", "+3.2e4", "-.5")
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}


@pytest.fixture
def formulas(shared: Path) -> list[str]:
    found = (shared / "hostile-payloads" / "csv-payload.txt").read_text().splitlines()
    assert len(found) == 6
    return [*found, *(f"{mark}1+1" for mark in RISKY), *NUMBERS]


@pytest.fixture
def http(settings: Settings, record: Record, formulas: list[str]) -> Iterator[httpx2.Client]:
    """An admin who is called a formula too, after each formula was taken in by each field that takes it."""
    runs = [a_run(f"{name} {number}") | {name: text} for number, text in enumerate(formulas) for name in FIELDS]
    ingest_runs(record, [from_dicts("formulas", runs)])
    token = tokens.issue(settings.home, Principal("ORG_ADMIN", "acme", formulas[1]), datetime.now(UTC))
    with served(settings) as url:
        headers = {"authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=f"{url}/v1", headers=headers, trust_env=False, timeout=30) as client:
            yield client


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline=""), strict=True) for cell in row]


def check(text: str, *some: str) -> None:
    found = cells(text)
    assert [cell for cell in found if cell.startswith(RISKY) and not re.search(NUMBER, cell)] == []
    assert set(some) <= set(found)


def test_no_cell_is_a_formula(http: httpx2.Client, formulas: list[str]) -> None:
    harmless = [f"'{formulas[1]}", f"'{formulas[5]}"]
    check(http.get("/export/runs.csv", params=MARCH).text, *harmless, *NUMBERS)
    queries = {name: {"measures": ["runs", "cost"], "by": [name], **MARCH} for name in FIELDS[1:-1]}
    for query in queries.values():
        asked: dict[str, Any] = {"json": {"queries": [query]}, "headers": {"accept": "text/csv"}}
        check(http.post("/query", **asked).text, *harmless, *NUMBERS)
    panels = [{"name": f"={name}", "query": query} for name, query in queries.items()]
    page = http.get("/export/page.zip", params={"view": json.dumps({"panels": panels})})
    archive = zipfile.ZipFile(io.BytesIO(page.content))
    for name in queries:
        check(archive.read(f"{name.replace('_', '-')}.csv").decode(), *harmless, *NUMBERS)


def test_no_cell_of_the_audit_is_a_formula(http: httpx2.Client, formulas: list[str]) -> None:
    seen = [text for text in formulas if http.get(f"/runs/{quote(text, safe='')}").status_code == 200]
    assert len(seen) >= 6
    text = http.get("/audit.csv").text
    check(text, f"'{formulas[1]}", "run.viewed")
    assert {f"'{each}" for each in seen if each not in NUMBERS and each.startswith(RISKY)} <= set(cells(text))
