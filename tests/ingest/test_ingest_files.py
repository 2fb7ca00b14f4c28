"""Files in every format hold the same runs; one that is not what it should be is one clear line and changes nothing."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agent_analytics.ingest import from_dicts, ingest_runs
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import a_run

Rows = Callable[..., list[dict[str, Any]]]
Command = Callable[..., tuple[int, str, str]]
OWN = {"organization": None}
RUNS = [
    a_run("a", **OWN, attributes={"branch": "main"}, error_message='said "no",\nthen stopped', cache_read_tokens=7),
    a_run("b", **OWN, user=None, team="a, b", ended_at=None, input_cost=None, output_cost=None, cost="0.1"),
    a_run("c", **OWN, status="running", ended_at=None, model="gpt-4o", input_cost=None, output_cost=None),
]


def as_jsonl(runs: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(run) + "\n" for run in runs).encode()


def as_csv(runs: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for run in runs for name in run)))
    writer.writeheader()
    writer.writerows(
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in run.items()} for run in runs
    )
    return text.getvalue().encode()


def as_parquet(runs: list[dict[str, Any]], **types: pa.DataType) -> bytes:
    """With the types that a writer would choose; `types` in place of them."""
    fields = {"started_at": pa.timestamp("ns", "Europe/Berlin"), "input_cost": pa.decimal128(20, 9)} | types
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        values: list[Any] = [run.get(name) for run in runs]
        if name == "started_at":
            values = [datetime.fromisoformat(value) for value in values]
        if name == "input_cost":
            values = [value and Decimal(value) for value in values]
        columns[name] = pa.array(values, fields.get(name))
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


ALL_TAKEN = "3 accepted, 0 updated, 0 unchanged, 0 rejected.\n"
FORMATS = {
    "runs.csv": as_csv(RUNS),
    "runs.jsonl": as_jsonl(RUNS),
    "runs.parquet": as_parquet(RUNS),
    "runs.csv.gz": gzip.compress(as_csv(RUNS)),
    "runs.jsonl.gz": gzip.compress(as_jsonl(RUNS)),
    "runs.parquet.gz": gzip.compress(as_parquet(RUNS)),
    "csv without a name's help": as_csv(RUNS),
    "jsonl without a name's help": b"\n  " + as_jsonl(RUNS),
    "with-mark.csv": b"\xef\xbb\xbf" + as_csv(RUNS),
    "other-line-ends.jsonl": as_jsonl(RUNS).replace(b"\n", b"\r\n"),
    "members.csv.gz": gzip.compress(as_csv(RUNS)[:100]) + gzip.compress(as_csv(RUNS)[100:]),
}


@pytest.fixture
def expected(record: Record, rows: Rows) -> list[dict[str, Any]]:
    """What the record holds of RUNS."""
    assert ingest_runs(record, [from_dicts("runs", RUNS)], organization="expected").accepted == len(RUNS)
    return named(rows(), "expected")


def named(runs: list[dict[str, Any]], organization: str) -> list[dict[str, Any]]:
    return [{**run, "organization": None} for run in runs if run["organization"] == organization]


def test_every_format_holds_the_same_runs(command: Command, rows: Rows, expected, tmp_path: Path) -> None:
    for number, (name, content) in enumerate(FORMATS.items()):
        (tmp_path / name).write_bytes(content)
        assert command(tmp_path / name, "--organization", f"format-{number}") == (0, ALL_TAKEN, ""), name
    assert {name: named(rows(), f"format-{number}") for number, name in enumerate(FORMATS)} == dict.fromkeys(
        FORMATS, expected
    )


@pytest.mark.parametrize("name", ["runs.csv", "runs.jsonl.gz", "runs.parquet"])
def test_standard_input(
    command: Command, rows: Rows, expected, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(FORMATS[name])
    with (tmp_path / name).open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert command("-", "--organization", "found") == (0, ALL_TAKEN, "")
    assert named(rows(), "found") == expected


def test_the_format_may_be_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_bytes(as_jsonl(RUNS))
    (tmp_path / "runs.txt").write_bytes(as_csv(RUNS))
    assert command(tmp_path / "runs.csv", "--format", "csv", "--organization", "acme")[0] == 1
    assert command(tmp_path / "runs.txt", "--format", "csv", "--organization", "acme")[0] == 0


def test_parquet_of_other_types(command: Command, rows: Rows, expected, tmp_path: Path) -> None:
    """Texts, whole floats where a writer made floats of integers with nulls, dictionaries, fine timestamps."""
    table = pq.read_table(io.BytesIO(as_parquet(RUNS)))
    texts = pa.array([json.dumps(run["attributes"]) if "attributes" in run else "" for run in RUNS])
    changed = {
        "attributes": texts,
        "team": table["team"].combine_chunks().dictionary_encode(),
        "input_tokens": table["input_tokens"].cast(pa.float64()),
        "input_cost": table["input_cost"].cast(pa.float64()),
        "started_at": pa.chunked_array([[run["started_at"] for run in RUNS]]),
    }
    for name, values in changed.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    pq.write_table(table, tmp_path / "runs.parquet")
    assert command(tmp_path / "runs.parquet", "--organization", "found") == (0, ALL_TAKEN, "")
    assert named(rows(), "found") == expected


def test_a_timestamp_without_a_zone_is_no_instant(command: Command, tmp_path: Path) -> None:
    (tmp_path / "runs.parquet").write_bytes(as_parquet(RUNS, started_at=pa.timestamp("us")))
    status, _, errors = command(tmp_path / "runs.parquet", "--organization", "acme")
    assert status == 1
    assert "line 1: started_at: '2026-03-28 09:00:00.000000' is not a time with an offset" in errors


RECORDS_ALONE = ("no record is good, of 1.", "line 2: status: invalid enum value 'done'")
HEAD = b"organization,run_id,agent_type,status,started_at\n"
GOOD = b"acme,a,review,succeeded,2026-03-28T09:00:00Z\n"
BROKEN = {
    "empty.csv": (b"", "is empty"),
    "empty.csv.gz": (gzip.compress(b""), "is empty"),
    "cut.csv.gz": (gzip.compress(HEAD + GOOD * 9)[:-9], "is not a whole gzip file"),
    "cut-early.jsonl.gz": (gzip.compress(b"{")[:8], "is not a whole gzip file"),
    "damaged.csv.gz": (gzip.compress(HEAD + GOOD)[:-8] + b"\0" * 8, "is not a whole gzip file"),
    "cut.parquet": (as_parquet(RUNS)[:-20], "cannot be read as Parquet"),
    "not.parquet": (b"hello", "cannot be read as Parquet"),
    "latin.csv": (HEAD + GOOD + "acme,b,prüfung,failed,2026\n".encode("latin-1"), "line 3 is not UTF-8"),
    "utf-16.csv": ((HEAD + GOOD).decode().encode("utf-16"), "line 1 is not UTF-8"),
    "array.json": (b' [{"run_id": "a"}]', "is one JSON array"),
    "semicolons.csv": (HEAD.replace(b",", b";"), "separated by ';'"),
    "misspelt.csv": (HEAD.replace(b"status", b"sttus"), "Unknown column 'sttus'. Did you mean 'status'?"),
    "twice.csv": (HEAD.replace(b"agent_type", b"status"), "two columns 'status'"),
    "short.csv": (b"organization,run_id\n", "without the column agent_type, status, started_at"),
    "quoted.csv": (b'"run_id\n', "not a CSV header"),
    "misspelt.parquet": (as_parquet([{**RUNS[0], "modle": "x"}]), "Unknown column 'modle'. Did you mean 'model'?"),
    "garbage.jsonl": (b"\0\1\2\n", "no record is good, of 1."),
    "all-bad.csv": (HEAD + GOOD.replace(b"succeeded", b"done") * 2, "line 2: status: invalid enum value 'done'"),
}


def test_a_broken_file_is_one_line_and_changes_nothing(command: Command, rows: Rows, tmp_path: Path) -> None:
    """Not even the good file before it is taken, unless what is bad are its records."""
    (tmp_path / "good.csv").write_bytes(HEAD + GOOD)
    for name, (content, said) in BROKEN.items():
        (tmp_path / name).write_bytes(content)
        before = [] if said in RECORDS_ALONE else [tmp_path / "good.csv"]
        status, out, errors = command(*before, tmp_path / name)
        *others, last = [line for line in errors.splitlines() if not line.startswith("rejected: ")]
        assert (name, status, out, others) == (name, 1, "", [])
        assert last.startswith("agent-analytics: ")
        assert said in last
        assert name in last
    assert rows() == rows("select * from analytics.organizations") == rows("select * from analytics.changes") == []


def test_what_cannot_be_opened(command: Command, tmp_path: Path) -> None:
    missing = command(tmp_path / "none.csv")
    directory = command(tmp_path)
    assert missing == (1, "", f"agent-analytics: {tmp_path}/none.csv cannot be read: No such file or directory.\n")
    assert directory == (1, "", f"agent-analytics: {tmp_path} is a directory. Name its files.\n")


def test_a_bad_line_costs_only_itself(command: Command, rows: Rows, tmp_path: Path) -> None:
    lines = [
        GOOD,
        b'acme,"b"x,review,succeeded,2026-03-28T09:00:00Z\n',
        b"acme,c,review,succeeded\n",
        b"\n",
        GOOD.replace(b",a,", b',"d",'),
        GOOD.replace(b",a,", b"," + b"e" * 2_000_000 + b","),
        GOOD.replace(b",a,", b",f,"),
        b'acme,"g',
    ]
    (tmp_path / "runs.csv").write_bytes(HEAD + b"".join(lines))
    status, out, errors = command(tmp_path / "runs.csv")
    assert (status, out) == (0, "3 accepted, 0 updated, 0 unchanged, 4 rejected.\n")
    assert [run["run_id"] for run in rows()] == ["a", "d", "f"]
    found = [line.removeprefix(f"rejected: {tmp_path}/runs.csv, ").split(": ")[0] for line in errors.splitlines()]
    assert found == ["line 3", "line 4", "line 7", "line 9"]


def test_a_bad_line_of_json_costs_only_itself(command: Command, rows: Rows, tmp_path: Path) -> None:
    good = json.dumps({**a_run("a"), "attributes": {"deep": []}}).encode()
    lines = [
        good,
        b"not JSON",
        b"[1]",
        good.replace(b"[]", b"[" * 5000 + b"]" * 5000),
        good.replace(b'"review"', b'"' + b"x" * 2_000_000 + b'"'),
        good[:-5],
        b'{"run_id": "\\ud800"}',
        b"",
        good.replace(b'"a"', b'"b"').replace(b"[]", b"[" * 400 + b"]" * 400),
    ]
    (tmp_path / "runs.jsonl").write_bytes(b"\n".join(lines))
    status, out, errors = command(tmp_path / "runs.jsonl")
    assert (status, out) == (0, "2 accepted, 0 updated, 0 unchanged, 6 rejected.\n")
    assert [run["run_id"] for run in rows()] == ["a", "b"]
    assert len(errors.splitlines()) == 5


def test_costs_in_json_keep_each_digit(command: Command, rows: Rows, tmp_path: Path) -> None:
    run = json.dumps(a_run("a", input_cost=None, output_cost=None) | {"cost": 7}).replace("7}", "123456789.1234567885}")
    (tmp_path / "runs.jsonl").write_text(run)
    assert command(tmp_path / "runs.jsonl")[0] == 0
    assert rows()[0]["cost"] == Decimal("123456789.123456788")


def test_rejected_records_are_written_with_line_field_and_reason(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEAD + GOOD.replace(b"succeeded", b"done") + GOOD + b"acme,c\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"run_id": "d", "cost": 1.10}\nnothing\n')
    status, out, errors = command(tmp_path / "a.csv", tmp_path / "b.jsonl", "--rejects", tmp_path / "bad.jsonl")
    assert (status, out, errors) == (0, "1 accepted, 0 updated, 0 unchanged, 4 rejected.\n", "")
    text = (tmp_path / "bad.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    assert [list(each) for each in found] == [["file", "line", "field", "reason", "record"]] * 4
    assert [(Path(each["file"]).name, each["line"], each["field"]) for each in found] == [
        ("a.csv", 2, "status"),
        ("a.csv", 4, None),
        ("b.jsonl", 1, "agent_type"),
        ("b.jsonl", 2, None),
    ]
    assert found[0]["record"]["status"] == "done"
    assert found[1]["record"] == {"organization": "acme", "run_id": "c"}
    assert '"cost": 1.10' in text
    assert found[3]["record"] == "nothing"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.jsonl", "bad.jsonl"]


def test_rejects_are_whole_or_absent(command: Command, tmp_path: Path) -> None:
    """All bad: written. A file that cannot be read to its end: what stood there before stays."""
    (tmp_path / "bad.csv").write_bytes(HEAD + GOOD.replace(b"succeeded", b"done"))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(HEAD + GOOD)[:-9])
    rejects = tmp_path / "rejects.jsonl"
    assert command(tmp_path / "bad.csv", "--rejects", rejects)[0] == 1
    before = rejects.read_text()
    assert json.loads(before)["field"] == "status"
    assert command(tmp_path / "bad.csv", tmp_path / "cut.csv.gz", "--rejects", rejects)[0] == 1
    assert rejects.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "cut.csv.gz", "rejects.jsonl"]


@pytest.mark.parametrize("where", ["none/rejects.jsonl", ".", "/dev/null"])
def test_rejects_that_cannot_be_written(command: Command, rows: Rows, tmp_path: Path, where: str) -> None:
    (tmp_path / "a.csv").write_bytes(HEAD + GOOD)
    status, out, errors = command(tmp_path / "a.csv", "--rejects", tmp_path / where)
    assert (status, out, len(errors.splitlines())) == (1, "", 1)
    assert "--rejects" in errors
    assert rows() == []
    assert Path("/dev/null").is_char_device()


def test_an_interrupted_ingest_takes_nothing(settings: Settings, rows: Rows) -> None:
    """Ctrl-C while records are still coming: exit status 1, one line, no row."""
    environment = {"AGENT_ANALYTICS_HOME": str(settings.home), "AGENT_ANALYTICS_DATABASE_URL": settings.database_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_analytics.cli", "ingest", "runs", "-", "--format", "csv"],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # As on a terminal: what starts the tests in the background lets them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdin is not None
    process.stdin.write(HEAD + b"".join(GOOD.replace(b",a,", f",{n},".encode()) for n in range(80_000)))
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, b"agent-analytics: Interrupted. Nothing was taken.\n")
    assert rows() == []
