"""The command line: what it prints, and one clear line for whatever is wrong."""

import csv
import io
import json

import pytest

from agent_analytics.cli import main
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import a_run, ingest

MARCH = ("--from", "2026-03-01", "--to", "2026-03-31")


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command on the test's installation: exit status, output, errors."""
    monkeypatch.setenv("AGENT_ANALYTICS_HOME", str(settings.home))
    monkeypatch.setenv("AGENT_ANALYTICS_DATABASE_URL", str(settings.database_url))

    def command(*words: str) -> tuple[int, str, str]:
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return command


def test_a_table_says_whose_figures_these_are(run, record: Record) -> None:
    ingest(record, [a_run("a"), a_run("b", team=None, input_tokens=None)])
    status, out, _ = run("query", "runs", "input_tokens", "cost", "--as", "ORG_ADMIN:acme", "--by", "team", *MARCH)
    assert status == 0
    assert out.splitlines() == [
        "Team          Runs  Input tokens         Cost",
        "────────────  ────  ────────────  ───────────",
        "Search           1         1,000  0.004500000",
        "Unattributed     1             —  0.004500000",
        "",
        "2026-03-01 to 2026-03-31, UTC. You see all of acme because you administer it.",
    ]


def test_json_is_one_array_of_objects(run, record: Record) -> None:
    ingest(record, [a_run("a", team=None)])
    status, out, _ = run("query", "runs", "cost", "--as", "ORG_ADMIN:acme", "--by", "team", "--format", "json", *MARCH)
    assert status == 0
    assert out == '[{"team":null,"runs":1,"cost":0.004500000}]\n'


def test_csv_has_a_header_and_quotes_what_needs_it(run, record: Record) -> None:
    ingest(record, [a_run("a", team='a "b", c')])
    _, out, _ = run(
        "query", "runs", "duration_p50", "--as", "ORG_ADMIN:acme", "--by", "team", "--format", "csv", *MARCH
    )
    assert list(csv.reader(io.StringIO(out))) == [["team", "runs", "duration_p50"], ['a "b", c', "1", "300.0"]]


def test_what_is_beyond_a_limit_and_what_was_before(run, record: Record) -> None:
    """A flag each; the file and the screen say how many groups the rest are."""
    ingest(record, [a_run("a"), a_run("b", team="Payments"), a_run("c", team=None), a_run("d", team=None)])
    words = ("query", "runs", "--as", "ORG_ADMIN:acme", *MARCH)
    limited = run(*words, "--by", "team", "--limit", "1", "--other", "--format", "csv")[1]
    assert list(csv.reader(io.StringIO(limited))) == [["team", "runs"], ["", "2"], ["Other (2)", "2"]]
    assert json.loads(run(*words, "--before", "--format", "json")[1]) == [{"runs": 0}]


def test_filters_with_escapes_and_none(run, record: Record) -> None:
    ingest(record, [a_run("a", team="a,b=c"), a_run("b", team=None), a_run("c")])
    words = ("query", "runs", "--as", "ORG_ADMIN:acme", "--format", "json", *MARCH, "--where")
    assert json.loads(run(*words, r"team=a\,b\=c")[1]) == [{"runs": 1}]
    assert json.loads(run(*words, "team=Search,")[1]) == [{"runs": 2}]
    assert json.loads(run(*words, "team=Search", "status=failed")[1]) == [{"runs": 0}]


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["query", "cots", "--as", "ORG_ADMIN:acme"], 2, "Unknown measure 'cots'. Did you mean 'cost'?"),
        (["query", "runs", "--as", "ORG_ADMIN:acme", "--by", "taem"], 2, "Unknown dimension 'taem'."),
        (["query", "runs", "--as", "ORG_ADMIN:acme", "--last", "30"], 2, "'30' is not a number of days."),
        (
            ["query", "runs", "--as", "ORG_ADMIN:acme", "--from", "2026-02-30", "--to", "2026-03-01"],
            2,
            "'2026-02-30' is",
        ),
        (["query", "runs", "--as", "ORG_ADMIN:acme", "--where", "team"], 2, "--where 'team' has no value"),
        (["query", "runs", "--as", "ORG_ADMIN:nowhere"], 2, "There are no organizations yet."),
        (["organization", "set", "Acme!"], 2, "'Acme!' is not an organization"),
        (["organization", "set", "acme", "--timezone", "Mars"], 2, "'Mars' is not an IANA time zone."),
    ],
)
def test_a_wrong_word_gets_one_clear_line(run, words: list[str], status: int, line: str) -> None:
    found, out, err = run(*words)
    assert (found, out) == (status, "")
    assert err.startswith(f"agent-analytics: {line}")
    assert err.count("\n") == 1


def test_an_unknown_command_or_option_is_a_usage_error(run) -> None:
    assert run("qurey")[0] == 2
    assert run("query", "runs")[0] == 2
    assert run("query", "runs", "--as", "ORG_ADMIN:acme", "--engine", "abacus")[0] == 2


def test_a_setting_that_cannot_be_used_is_named(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_ANALYTICS_PORT", "http")
    assert run("organization", "list") == (
        2,
        "",
        "agent-analytics: AGENT_ANALYTICS_PORT: 'http' is not a port from 1024 to 65000.\n",
    )


def test_a_server_that_does_not_answer_is_said_without_its_password(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_ANALYTICS_DATABASE_URL", "postgresql://me:hidden@127.0.0.1:1/none")
    status, _, err = run("organization", "list")
    assert status == 1
    assert err.startswith("agent-analytics: PostgreSQL does not answer")
    assert "hidden" not in err
    assert err.count("\n") == 1


def test_organizations_are_created_changed_and_listed(run) -> None:
    assert run("organization", "set", "acme", "--name", "Acme", "--timezone", "Europe/Berlin")[0] == 0
    assert run("organization", "set", "acme", "--name", "Acme Robotics")[0] == 0
    assert run("organization", "list")[1] == "acme\tAcme Robotics\tEurope/Berlin\n"


def test_the_doctor_compares_the_cache_with_the_record(run, record: Record) -> None:
    ingest(record, [a_run("a")])
    status, out, _ = run("doctor")
    assert status == 0, out
    assert "ok    cache of acme: equals the record (" in out
