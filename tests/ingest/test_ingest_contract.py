"""Every rule of the run record: what is kept, and what is rejected with which reason."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent_analytics.ingest import Rejection, from_dicts, ingest_runs
from agent_analytics.store import Record
from given import a_run

Rows = Callable[..., list[dict[str, Any]]]
MISSING = object()
FREE = {"input_cost": None, "output_cost": None}
BAD: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "no organization": ({"organization": None}, "organization", "is missing"),
    "organization not a slug": ({"organization": "Acme Inc"}, "organization", "not a slug"),
    "organization too long": ({"organization": "a" * 64}, "organization", "not a slug"),
    "no run_id": ({"run_id": MISSING}, "run_id", "is missing"),
    "empty run_id": ({"run_id": ""}, "run_id", "length >= 1"),
    "long run_id": ({"run_id": "x" * 201}, "run_id", "length <= 200"),
    "NUL in run_id": ({"run_id": "a\0b"}, "run_id", "U+0000"),
    "line end in user": ({"user": "ada\n"}, "user", "U+000A"),
    "half a character": ({"team": "a\ud800"}, "team", "U+D800"),
    "C1 control in model": ({"model": "gpt\x9b"}, "model", "U+009B"),
    "long user": ({"user": "x" * 201}, "user", "length <= 200"),
    "number for a team": ({"team": 7}, "team", "expected str"),
    "no agent_type": ({"agent_type": MISSING}, "agent_type", "is missing"),
    "null agent_type": ({"agent_type": None}, "agent_type", "expected str"),
    "empty agent_type": ({"agent_type": ""}, "agent_type", "length >= 1"),
    "other status": ({"status": "done"}, "status", "use one of running, succeeded, failed, cancelled"),
    "no started_at": ({"started_at": MISSING}, "started_at", "is missing"),
    "no offset": ({"started_at": "2026-03-28T09:00:00"}, "started_at", "with an offset"),
    "naive datetime": ({"started_at": datetime(2026, 3, 28)}, "started_at", "with an offset"),
    "not a day": ({"started_at": "2026-02-30T09:00:00Z"}, "started_at", "not a time that exists"),
    "hour 24": ({"started_at": "2026-03-28T24:00:00Z"}, "started_at", "not a time that exists"),
    "no such leap second": ({"started_at": "2026-03-28T12:30:60Z"}, "started_at", "not a time that exists"),
    "other digits": ({"started_at": "２０２６-03-28T09:00:00Z"}, "started_at", "with an offset"),
    "a number for a time": ({"started_at": 1774688400}, "started_at", "expected str"),
    "year 1": ({"started_at": "0001-01-01T00:00:00Z"}, "started_at", "years 1970 to 2999"),
    "end before start": ({"ended_at": "2026-03-28T08:59:59.999999Z"}, "ended_at", "before started_at"),
    "end while running": ({"status": "running"}, "ended_at", "null while the run is running"),
    "bad version": ({"updated_at": "yesterday"}, "updated_at", "with an offset"),
    "negative tokens": ({"input_tokens": -1}, "input_tokens", ">= 0"),
    "too many tokens": ({"input_tokens": 10**12 + 1}, "input_tokens", "<= 1000000000000"),
    "half a token": ({"output_tokens": 1.5}, "output_tokens", "expected int"),
    "true for tokens": ({"output_tokens": True}, "output_tokens", "expected int"),
    "text for tokens": ({"output_tokens": "100"}, "output_tokens", "expected int"),
    "cache over input": ({"cache_read_tokens": 600, "cache_write_tokens": 401}, "cache_read_tokens", "add up to 1001"),
    "reasoning over output": ({"reasoning_tokens": 101}, "reasoning_tokens", "more than output_tokens"),
    "negative cost": ({"input_cost": "-0.1"}, "input_cost", "not from 0"),
    "no number": ({"input_cost": "NaN"}, "input_cost", "not from 0"),
    "endless": ({"output_cost": float("inf")}, "output_cost", "not from 0"),
    "too much": ({**FREE, "cost": "1000000000.000000001"}, "cost", "not from 0"),
    "words for cost": ({**FREE, "cost": "about 3"}, "cost", "decimal"),
    "beyond decimals": ({**FREE, "cost": "1e99999999999999999999"}, "cost", ""),
    "cost over the sum": ({"cost": "0.004500001001"}, "cost", "not the sum"),
    "cost under the sum": ({"cost": "0.004499998999"}, "cost", "not the sum"),
    "cost under a part": ({"output_cost": None, "cost": "0.0029"}, "cost", "not the sum"),
    "negative retries": ({"retries": -1}, "retries", ">= 0"),
    "attributes a list": ({"attributes": [1]}, "attributes", "expected object"),
    "attributes too large": ({"attributes": {"a": "x" * 65_530}}, "attributes", "larger than 65536"),
    "NUL in attributes": ({"attributes": {"a": "\0"}}, "attributes", "U+0000"),
    "half a character in attributes": ({"attributes": {"a": "\udfff"}}, "attributes", "JSON"),
    "unfit attributes": ({"attributes": {"a": object()}}, "attributes", "JSON"),
    "typing error": ({"modle": "gpt-4o"}, "modle", "did you mean 'model'?"),
    "field of ours": ({"cost_source": "reported"}, "cost_source", "not a field"),
}


def a_bad_run(name: str) -> dict[str, Any]:
    run = {**a_run(name), **BAD[name][0]}
    return {field: value for field, value in run.items() if value is not MISSING}


def test_each_broken_rule_has_its_field_and_reason_and_costs_nothing_else(record: Record, rows: Rows) -> None:
    rejected: list[Rejection] = []
    records = [a_run("first"), *map(a_bad_run, BAD), a_run("last")]
    summary = ingest_runs(record, [from_dicts("records", records)], rejects=rejected.append)
    assert (summary.accepted, summary.rejected) == (2, len(BAD))
    assert [run["run_id"] for run in rows()] == ["first", "last"]
    found = {name: (each.line, each.field) for name, each in zip(BAD, rejected, strict=True)}
    assert found == {name: (line, BAD[name][1]) for line, name in enumerate(BAD, 2)}
    assert [each.reason for each in rejected if BAD[list(BAD)[each.line - 2]][2] not in each.reason] == []


def test_all_fields_are_kept(record: Record, rows: Rows) -> None:
    sent = {
        "organization": "acme-2",
        "run_id": "r" * 200,
        "user": "zoë ☂ 👩‍💻",
        "team": "a'b\"c, d\\e",
        "agent_type": " code review ",
        "status": "failed",
        "started_at": datetime(2026, 3, 28, 9, tzinfo=UTC),
        "ended_at": datetime(2026, 3, 28, 14, 30, 1, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        "model": "m",
        "model_version": "v",
        "input_tokens": 10**12,
        "output_tokens": 0,
        "cache_read_tokens": 1,
        "cache_write_tokens": 2,
        "reasoning_tokens": 0,
        "input_cost": Decimal("0.25"),
        "output_cost": 0.5,
        "cost": 0.75,
        "retries": 3,
        "error_category": "tool",
        "error_message": 'line 1\n\\.\n\tline "2"',
        "attributes": {"a": [1, None, {"b": "\u2028"}], "n": Decimal("0.10000000000000000001"), "i": 10**30},
        "updated_at": "2026-03-29T00:00:00Z",
    }
    assert ingest_runs(record, [from_dicts("one", [sent])]).accepted == 1
    found = rows("select *, attributes::text as exact from analytics.runs")[0]
    assert found.pop("exact") == (
        '{"a": [1, null, {"b": "\u2028"}], "i": 1000000000000000000000000000000, "n": 0.10000000000000000001}'
    )
    found.pop("attributes"), sent.pop("attributes")
    moments = {"updated_at": datetime(2026, 3, 29, tzinfo=UTC), "output_cost": Decimal("0.5"), "cost": Decimal("0.75")}
    assert found == {**sent, **moments, "cost_source": "reported"}


def test_what_is_absent_or_empty_is_null(record: Record, rows: Rows) -> None:
    run = {"run_id": "a", "agent_type": "t", "status": "running", "started_at": "2026-03-28T09:00:00Z"}
    empty = dict.fromkeys(("user", "team", "ended_at", "model", "model_version", "error_category"), "")
    records = [run, {**run, "run_id": "b", "error_message": "", "updated_at": "", **empty}]
    assert ingest_runs(record, [from_dicts("two", records)], organization="acme").accepted == 2
    names = {"organization": "acme", "agent_type": "t", "status": "running", "retries": 0, "attributes": {}}
    start = datetime(2026, 3, 28, 9, tzinfo=UTC)
    for found, run_id in zip(rows(), "ab", strict=True):
        known = {name: value for name, value in found.items() if value is not None}
        assert known == {**names, "run_id": run_id, "started_at": start, "updated_at": start}


def test_the_record_names_its_organization_before_the_command_does(record: Record, rows: Rows) -> None:
    records = [a_run("a"), a_run("a", organization=None)]
    ingest_runs(record, [from_dicts("two", records)], organization="globex")
    assert [run["organization"] for run in rows()] == ["acme", "globex"]


def test_what_is_named_first_is_created_once(record: Record, rows: Rows) -> None:
    records = [a_run("a", user="ada"), a_run("b", user=None, team=None), a_run("c", user="bo", agent_type="test")]
    for _ in range(2):
        ingest_runs(record, [from_dicts("three", records)])
    assert rows("select organization, name, timezone from analytics.organizations") == [
        {"organization": "acme", "name": "acme", "timezone": "UTC"}
    ]
    assert rows('select "user" from analytics.users order by 1') == [{"user": "ada"}, {"user": "bo"}]
    assert rows("select team from analytics.teams") == [{"team": "Search"}]
    assert rows("select agent_type from analytics.agent_types order by 1") == [
        {"agent_type": "review"},
        {"agent_type": "test"},
    ]


TIMES = {
    "2026-03-28t09:00:00z": datetime(2026, 3, 28, 9, tzinfo=UTC),
    "2026-03-28 09:00:00.5+00:00": datetime(2026, 3, 28, 9, 0, 0, 500_000, tzinfo=UTC),
    "2026-03-28T09:00:00.123456789Z": datetime(2026, 3, 28, 9, 0, 0, 123_456, tzinfo=UTC),
    "2026-03-28T09:00:00.9999999-08:00": datetime(2026, 3, 28, 17, 0, 0, 999_999, tzinfo=UTC),
    "2016-12-31T23:59:60Z": datetime(2017, 1, 1, tzinfo=UTC),
    "2017-01-01T05:29:60.25+05:30": datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC),
    "2026-03-28T23:30:00+23:59": datetime(2026, 3, 27, 23, 31, tzinfo=UTC),
    "2026-03-28T09:00:00-00:00": datetime(2026, 3, 28, 9, tzinfo=UTC),
}


def test_times(record: Record, rows: Rows) -> None:
    sent = [a_run(text) | {"started_at": text, "ended_at": None} for text in TIMES]
    assert ingest_runs(record, [from_dicts("times", sent)]).accepted == len(TIMES)
    assert {run["run_id"]: run["started_at"] for run in rows()} == TIMES
    assert {run["run_id"]: run["updated_at"] for run in rows()} == TIMES


COSTS: list[tuple[tuple[Any, ...], tuple[str | None, ...]]] = [
    (("0.1", "0.2", None), ("0.1", "0.2", "0.3")),
    (("0.1", "0.2", "0.300000001"), ("0.1", "0.2", "0.3")),
    ((None, None, "0.013317500000000001"), (None, None, "0.0133175")),
    (("0.1", None, None), ("0.1", None, None)),
    ((None, "0.1", "0.3"), (None, "0.1", "0.3")),
    (("0", "0", None), ("0", "0", "0")),
    # Half-even, to the nano-dollar; and the rounded parts add up to the rounded sum.
    (("0.0000000005", "0.0000000015", None), ("0", "0.000000002", "0.000000002")),
    (("0.0000000005", "0.0000000005", "0.000000001"), ("0", "0", "0")),
    ((None, None, "1e9"), (None, None, "1000000000")),
    ((None, None, 1e-7), (None, None, "0.0000001")),
]


def test_costs_as_reported(record: Record, rows: Rows) -> None:
    names = ("input_cost", "output_cost", "cost")
    sent = [a_run(f"{n:02}", **dict(zip(names, costs, strict=True))) for n, (costs, _) in enumerate(COSTS)]
    assert ingest_runs(record, [from_dicts("costs", sent)]).accepted == len(COSTS)
    found = rows()
    assert [tuple(run[name] for name in names) for run in found] == [
        tuple(cost and Decimal(cost) for cost in known) for _, known in COSTS
    ]
    assert {run["cost_source"] for run in found} == {"reported"}


def test_a_long_message_is_cut_and_cleaned(record: Record, rows: Rows) -> None:
    sent = a_run("a", error_message="a\0b\x1b[31m\r\nc\td\x85" + "e" * 20_000)
    assert ingest_runs(record, [from_dicts("one", [sent])]).accepted == 1
    found = rows()[0]["error_message"]
    assert found.startswith("ab[31m\nc\tdeee")
    assert found.endswith("e…")
    assert len(found) == 10_000


def test_naughty_strings_come_back_as_they_were_or_are_rejected_with_a_reason(
    record: Record, rows: Rows, shared: Path
) -> None:
    texts = json.loads((shared / "hostile-blns" / "blns.json").read_text())
    texts += (shared / "hostile-payloads" / "xss-payload-list.txt").read_text().splitlines()[:1500]
    texts += (shared / "hostile-payloads" / "csv-payload.txt").read_text().splitlines()
    rejected: list[Rejection] = []
    records = [a_run(f"{number:05}", team=text, attributes={"text": text}) for number, text in enumerate(texts)]
    summary = ingest_runs(record, [from_dicts("naughty", records)], rejects=rejected.append)
    bad = {each.line - 1 for each in rejected}
    assert summary.accepted + len(bad) == len(texts)
    assert {each.field for each in rejected} == {"team"}
    found = {int(run["run_id"]): (run["team"], run["attributes"]["text"]) for run in rows()}
    assert found == {number: (text or None, text) for number, text in enumerate(texts) if number not in bad}
    assert all(len(texts[number]) > 200 or not texts[number].isprintable() for number in bad)
