"""Exports: exactly the runs that an answer counts, whole to the last digit, harmless in a spreadsheet."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agent_analytics import export
from agent_analytics.asking import answer
from agent_analytics.catalog import MEASURES
from agent_analytics.cli import main
from agent_analytics.compile import render
from agent_analytics.errors import QueryError
from agent_analytics.export.runs import columns, selected
from agent_analytics.ingest import from_dicts, open_source
from agent_analytics.ingest.records import FIELDS
from agent_analytics.ingest.runs import Summary, ingest_runs
from agent_analytics.output import NUMBER, RISKY, as_csv, as_json, as_table, harmless
from agent_analytics.period import Days, Last, Period
from agent_analytics.query import Query
from agent_analytics.scope import parse_principal, scope_of
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import NOW, a_run, ingest, two_organizations

MARCH = Days(date(2026, 3, 1), date(2026, 3, 31))
HOSTILE = ("user", "team", "model", "model_version", "error_category", "error_message")


def exported(record: Record, kind: str, who: str, where: Any = (), period: Period = MARCH) -> bytes:
    scope = scope_of(parse_principal(who))
    with record.snapshot(scope.organization) as connection:
        found = answer(export.asked_runs(where, period), scope, export.Moment(connection), NOW)
        return b"".join(export.RUN_FORMATS[kind](found, scope, connection))


def cells(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline=""), strict=True))


def risky(texts: Iterable[str]) -> set[str]:
    return {text for text in texts if text.startswith(RISKY) and not re.search(NUMBER, text)}


def payloads(shared: Path) -> list[str]:
    formulas = (shared / "hostile-payloads" / "csv-payload.txt").read_text().splitlines()
    naughty = json.loads((shared / "hostile-blns" / "blns.json").read_text())
    wide = [f"{mark}1+1" for mark in RISKY] + ["-5", "+3.2e4", "-.5", "-", "-5\n=1+1", "-１", "+1e"]
    return [text for text in formulas + naughty + wide if text.strip()]


def hostile_runs(record: Record, shared: Path) -> None:
    """Each payload in each text that takes it."""
    texts = payloads(shared)
    runs = [a_run(f"{name}-{number}", **{name: text}) for number, text in enumerate(texts) for name in HOSTILE]
    keys = [a_run(text, agent_type=text) for text in texts]
    summary = ingest_runs(record, [from_dicts("hostile", runs + keys)])
    assert summary.accepted > 6 * len(texts)


def test_no_cell_of_a_file_of_runs_is_a_formula(record: Record, shared: Path) -> None:
    hostile_runs(record, shared)
    text = exported(record, "csv", "ORG_ADMIN:acme")
    found = cells(text)
    assert tuple(found[0]) == FIELDS
    assert risky(cell for row in found for cell in row.values()) == set()
    assert {row["team"] for row in found} - {"Search"} <= {harmless(text) for text in payloads(shared)}
    assert {"-5", "+3.2e4", "-.5"} <= {row["team"] for row in found}
    assert {"'=1+1", "'＝1+1", "'-5\n=1+1"} <= {row["error_message"] for row in found}


def test_no_cell_of_an_answer_is_a_formula(record: Record, shared: Path) -> None:
    hostile_runs(record, shared)
    for name in ("team", "user", "agent_type", "error_category"):
        found = answer(Query(["runs"], [name], period=MARCH), scope_of(parse_principal("ORG_ADMIN:acme")), record, NOW)
        assert len(found.rows) > 400
        assert risky(cell for row in cells(as_csv(found).encode()) for cell in row.values()) == set()


def test_lines_end_as_rfc_4180_says_and_a_message_keeps_its_own(record: Record) -> None:
    ingest(record, [a_run("a", error_message='one\ntwo "2"\n'), a_run("b", team='a,"b"')])
    text = exported(record, "csv", "ORG_ADMIN:acme")
    assert text.count(b"\r\n") == 3
    assert text.replace(b"\r\n", b"").count(b"\n") == 2
    assert {row["error_message"] for row in cells(text)} == {"", 'one\ntwo "2"\n'}
    assert cells(text)[0]["started_at"] == "2026-03-28T09:00:00Z"


@pytest.mark.parametrize("kind", export.RUN_FORMATS)
def test_a_file_of_runs_taken_in_again_changes_nothing(record: Record, tmp_path: Path, kind: str) -> None:
    given = [
        a_run("a", attributes={"x": [1.50, "ü"]}, started_at="2026-03-28T09:00:00.000001Z"),
        a_run("b", team=None, user="0012", input_cost=None, output_cost=None, cost="0.000000001", error_message="a\nb"),
        a_run("c", status="running", ended_at=None, model="m", output_cost="123456.789"),
    ]
    ingest(record, given)
    file = tmp_path / f"runs.{kind}"
    file.write_bytes(exported(record, kind, "ORG_ADMIN:acme"))
    assert ingest_runs(record, [open_source(str(file))]) == Summary(0, 0, 3, 0)


def test_parquet_is_exact_and_unchanged(record: Record) -> None:
    two_organizations(record)
    table = pq.read_table(io.BytesIO(exported(record, "parquet", "PLATFORM_ADMIN:")))
    assert table.schema.field("cost").type == pa.decimal128(20, 9)
    assert table.schema.field("started_at").type == pa.timestamp("us", "UTC")
    assert table.schema.field("retries").type == pa.int64()
    names = ", ".join(f'"{name}"' for name in export.COLUMNS)
    with record.unscoped_reader() as connection:
        rows = connection.execute(f"select {names} from analytics.local_runs where day >= '2026-03-01'").fetchall()
    found = [tuple(row[name] for name in export.COLUMNS) for row in table.to_pylist()]
    texts = [(*row[:-2], json.dumps(row[-2]), row[-1]) for row in rows]
    assert sorted(found, key=lambda row: row[:2]) == sorted(texts, key=lambda row: row[:2])


def test_no_runs_are_a_header_alone(record: Record) -> None:
    ingest(record, [a_run("a")])
    before = Days(date(2020, 1, 1), date(2020, 1, 2))
    assert exported(record, "csv", "ORG_ADMIN:acme", period=before) == ",".join(FIELDS).encode() + b"\r\n"
    assert pq.read_table(io.BytesIO(exported(record, "parquet", "ORG_ADMIN:acme", period=before))).num_rows == 0


@pytest.mark.parametrize("who", ["ORG_ADMIN:acme", "ORG_ADMIN:globex", "MEMBER:acme:bo", "TEAM_LEAD:globex:bo:Search"])
def test_a_file_holds_the_very_runs_that_the_answer_counts(record: Record, who: str) -> None:
    """In zones far from UTC, around a change of the clocks, over spans of which not every run is asked its day."""
    two_organizations(record, ("Pacific/Kiritimati", "Pacific/Pago_Pago"))
    scope = scope_of(parse_principal(who))
    for length in (1, 2, 3, 8):
        period = Days(date(2026, 3, 28), date(2026, 3, 27) + timedelta(days=length))
        for where in ({}, {"team": ["Search", None]}, {"day": ["2026-03-29"], "status": ["failed", "succeeded"]}):
            rows = cells(exported(record, "csv", who, where, period))
            known = answer(Query(["runs", "cost"], (), where, period), scope, record, NOW)
            money = [Decimal(row["cost"]) for row in rows if row["cost"]]
            assert (len(rows), sum(money) if money else None) == known.rows[0]
            assert {row["organization"] for row in rows} <= {scope.organization}


def test_the_manifest_tells_what_the_file_does_not(record: Record) -> None:
    two_organizations(record)
    scope = scope_of(parse_principal("MEMBER:acme:bo"))
    with record.snapshot("acme") as connection:
        asked = export.totals(export.asked_runs({"team": ["Search"]}, Last(40)), scope)
        found = answer(asked, scope, export.Moment(connection), NOW)
        ingest(record, [a_run("late", user="bo")])
        rows = cells(b"".join(export.csv_of_runs(found, scope, connection)))
    told = export.manifest("runs.csv", found)
    assert (told["rows"], told["filters"], told["timezone"]) == (len(rows), {"team": ["Search"]}, "Europe/Berlin")
    assert told["totals"]["cost"] == sum(Decimal(row["cost"]) for row in rows if row["cost"])
    assert set(MEASURES) - set(told["totals"]) == {"active_users"}
    assert (told["reason"], told["as_of"]) == ("You see your own runs because you are a member of acme.", NOW)


def test_runs_far_from_the_first_and_last_day_are_not_asked_their_own(record: Record) -> None:
    scope = scope_of(parse_principal("ORG_ADMIN:acme"))
    found = answer(export.asked_runs({}, MARCH), scope, record, NOW)
    text = render(selected(found, scope, columns())).text
    assert re.search(r"started_at < \$\d+ OR [\w.]+day BETWEEN", text)


def test_values_are_quoted_not_trusted(record: Record) -> None:
    team = "$1 '; drop table analytics.runs; -- \\ %s"
    ingest(record, [a_run("a", team=team), a_run("b", team="$2")])
    where = {"team": [team], "user": ["ada"]}
    assert [row["team"] for row in cells(exported(record, "csv", "ORG_ADMIN:acme", where))] == [team]
    with pytest.raises(QueryError, match="Unknown team"):
        exported(record, "csv", "ORG_ADMIN:acme", {"team": ["x\x00"]})


def test_what_is_beyond_the_limit_is_one_more_row(record: Record) -> None:
    ingest(record, [a_run("a"), a_run("b", team="Payments"), a_run("c", team=None)])
    asked = Query(["runs", "cost"], ["team", "user"], (), MARCH, limit=1, other=True)
    found = answer(asked, scope_of(parse_principal("ORG_ADMIN:acme")), record, NOW)
    assert cells(as_csv(found).encode())[-1] == {"team": "Other (2)", "user": "", "runs": "2", "cost": "0.009000000"}
    assert json.loads(as_json(found))[-1]["team"] == "Other (2)"
    *_, last, _, about = as_table(found).splitlines()
    assert last.split() == ["Other", "(2)", "2", "0.009000000"]
    assert about.startswith("2026-03-01 to 2026-03-30, UTC. Counted up to 2026-03-30: the days to 2026-03-31 are ")


def test_a_part_of_a_day_is_said_with_its_instant(record: Record) -> None:
    ingest(record, [a_run("a")])
    asked = Query(["runs"], period=Last(2), before=True)
    found = answer(asked, scope_of(parse_principal("ORG_ADMIN:acme")), record, NOW)
    assert "2026-03-27 to 2026-03-28 up to 2026-03-28T12:00, UTC." in as_table(found)


def test_a_page_is_one_csv_for_each_panel(record: Record) -> None:
    ingest(record, [a_run("a"), a_run("b", team="=1+1")])
    found = answer(Query(["runs"], ["team"], (), MARCH), scope_of(parse_principal("ORG_ADMIN:acme")), record, NOW)
    names = ["Runs per team", "../../etc/passwd", "runs-per-team", "Ü", "runs-per-team-2"]
    archive = zipfile.ZipFile(io.BytesIO(b"".join(export.page([(name, found) for name in names]))))
    files = ["runs-per-team.csv", "etc-passwd.csv", "runs-per-team-2.csv", "panel.csv", "runs-per-team-2-2.csv"]
    assert archive.namelist() == [*files, "manifest.json"]
    assert {row["team"] for row in cells(archive.read("panel.csv"))} == {"Search", "'=1+1"}
    told = json.loads(archive.read("manifest.json"))["panels"]
    assert [(each["file"], each["rows"], each["timezone"]) for each in told] == [(file, 2, "UTC") for file in files]


def test_arrow_has_exact_types(record: Record) -> None:
    ingest(record, [a_run("a"), a_run("b", team=None, input_cost=None, output_cost=None)])
    asked = Query(
        ["runs", "cost", "success_rate"], ["team", "hour", "day"], (), Days(date(2026, 3, 28), date(2026, 3, 28))
    )
    found = answer(asked, scope_of(parse_principal("ORG_ADMIN:acme")), record, NOW)
    table = pa.ipc.open_stream(export.arrow_of(found)).read_all()
    kinds = [pa.string(), pa.timestamp("us"), pa.date32(), pa.int64(), pa.decimal128(38, 9), pa.float64()]
    assert table.schema.types == kinds
    assert [tuple(row.values()) for row in table.to_pylist()] == list(found.rows)


@pytest.fixture
def command(settings: Settings, record: Record, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> Any:
    """`export runs` on the test's installation: exit status, output, errors."""
    monkeypatch.setenv("AGENT_ANALYTICS_HOME", str(settings.home))
    monkeypatch.setenv("AGENT_ANALYTICS_DATABASE_URL", str(settings.database_url))
    ingest(record, [a_run("a"), a_run("b", user="bo")])

    def run(*words: str, who: str = "ORG_ADMIN:acme") -> tuple[int, bytes, bytes]:
        days = ("--from", "2026-03-01", "--to", "2026-03-31")
        return main(("export", "runs", "--as", who, *days, *words)), *capsysbinary.readouterr()

    return run


def test_the_command_puts_a_manifest_beside_the_file(command: Any, tmp_path: Path) -> None:
    status, out, _ = command("-o", str(tmp_path / "runs.csv"), "--where", "user=bo")
    assert status == 0
    assert out.decode().startswith(f"1 runs in {tmp_path}/runs.csv, described in ")
    assert [row["run_id"] for row in cells((tmp_path / "runs.csv").read_bytes())] == ["b"]
    assert json.loads((tmp_path / "runs.manifest.json").read_text())["filters"] == {"user": ["bo"]}
    assert command("-o", str(tmp_path / "runs.parquet"))[0] == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["runs.csv", "runs.manifest.json", "runs.parquet"]


def test_the_command_writes_csv_to_stdout(command: Any) -> None:
    status, out, _ = command("-o", "-", who="MEMBER:acme:bo")
    assert (status, [row["run_id"] for row in cells(out)]) == (0, ["b"])


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["-o", "runs.xlsx"], 2, "-o runs.xlsx is neither .csv nor .parquet."),
        (["-o", "nowhere/runs.csv"], 1, "-o .*/nowhere/runs.csv cannot be written: No such file or directory."),
        (["-o", "runs.csv", "--where", "team=Saerch"], 2, "Unknown team 'Saerch'. Did you mean 'Search'?"),
    ],
)
def test_a_wrong_word_leaves_one_line_and_no_file(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = command(*words)
    assert (found, out, err.count(b"\n")) == (status, b"", 1)
    assert re.match(f"agent-analytics: {line}", err.decode())
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_now_is_named_by_its_days(record: Record) -> None:
    ingest(record, [a_run("a")])
    scope = scope_of(parse_principal("PLATFORM_ADMIN:"))
    found = answer(export.asked_runs({}, Last(2)), scope, record, datetime(2026, 3, 30, tzinfo=UTC))
    assert export.name_of(found, scope, "csv") == "runs-all-2026-03-29-2026-03-30.csv"
