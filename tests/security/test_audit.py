"""The audit: who saw whose run, who exported what, who changed which setting; written before anything is shown."""

import csv
import io
import json
import os
import pwd
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from security.world import World, json_of, run_id

from agent_analytics import audit
from agent_analytics.audit import SYSTEM, Actor, Asked, Event
from agent_analytics.cli import main
from agent_analytics.errors import RecordUnavailable
from agent_analytics.organizations import set_organization
from agent_analytics.settings import Settings
from agent_analytics.store import SERVICE, Record
from given import a_run, ingest

BY_USER = {"measures": ["runs"], "by": ["user"], "last": "7d"}


def newest(world: World, role: str = "admin", **filters: Any) -> dict[str, Any]:
    (event,) = world.get(role, "/v1/audit", limit=1, **filters).json()["events"]
    return event


def count(world: World) -> int:
    with world.record.unscoped_reader() as connection:
        return connection.execute("select count(*) from analytics.audit").fetchall()[0][0]


def test_who_opens_anothers_run_stands_in_the_audit(world: World) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert world.get("lead", f"/v1/runs/{run_id('bo')}").status_code == 200
    event = newest(world)
    assert before < datetime.fromisoformat(event.pop("at")) < datetime.now(UTC) + timedelta(minutes=1)
    assert len(event.pop("reference")) == 16
    assert event == {
        "organization": "acme",
        "action": "run.viewed",
        "actor": "zq-lena-user",
        "role": "TEAM_LEAD",
        "via": "api",
        "object": run_id("bo"),
        "details": {"user": "zq-bo-user", "team": "zq-Search-team"},
    }


def test_ones_own_runs_and_what_is_not_shown_are_nobodys_business(world: World) -> None:
    known = count(world)
    assert world.get("member", f"/v1/runs/{run_id('ada')}").status_code == 200
    assert world.get("member", "/v1/runs").status_code == 200
    assert world.get("member", f"/v1/runs/{run_id('bo')}").status_code == 404
    assert count(world) == known


def test_a_list_of_others_runs_says_which_they_were(world: World) -> None:
    shown = world.get("leads", "/v1/runs", limit=2, sort="cost").json()["runs"]
    event = newest(world)
    assert (event["action"], event["actor"]) == ("runs.listed", "zq-liz-user")
    told = event["details"]
    assert (told["first"], told["last"], told["rows"]) == (shown[0]["run_id"], shown[1]["run_id"], 2)
    assert (told["sort"], told["last"] != told["first"]) == ("cost", True)


@pytest.mark.parametrize(
    ("method", "path", "action", "sent"),
    [
        ("GET", "/v1/export/runs.csv", "export.runs", {}),
        ("GET", "/v1/export/runs.parquet", "export.runs", {}),
        ("GET", "/v1/export/runs.manifest.json", "export.manifest", {}),
        ("GET", "/v1/export/page.zip", "export.page", {"params": {"view": json_of({"panels": []})}}),
        ("POST", "/v1/export/page.zip", "export.page", {}),
        ("POST", "/v1/query", "export.answer", {}),
    ],
)
def test_every_export_stands_in_the_audit_with_its_question(
    world: World, method: str, path: str, action: str, sent: dict[str, Any]
) -> None:
    view = {"panels": [{"name": "a", "query": BY_USER}]}
    if method == "POST":
        sent = {"json": view if "page" in path else {"queries": [BY_USER]}, "headers": {"accept": "text/csv"}}
    elif sent:
        sent = {"params": {"view": json_of(view)}}
    else:
        sent = {"params": {"last": "7d", "where": json_of({"user": ["zq-ada-user"]})}}
    assert world.request("member", method, path, **sent).status_code == 200
    event = newest(world)
    assert (event["action"], event["actor"], event["role"]) == (action, "zq-ada-user", "MEMBER")
    assert event["details"]["reason"] == "You see your own runs because you are a member of acme."
    asked = {"measures": ["runs"], "last": "7d", "where": {"user": ["zq-ada-user"]}}
    assert event["details"]["queries"] == [BY_USER if "view" in str(sent) or method == "POST" else asked]


def test_an_export_over_all_organizations_stands_in_each_and_names_no_other(world: World) -> None:
    where = json_of({"user": ["zq-gus-user"], "status": ["failed"]})
    assert world.get("platform", "/v1/export/runs.csv", where=where).status_code == 200
    for role in ("admin", "globex"):
        event = newest(world, role)
        assert (event["action"], event["actor"], event["role"]) == ("export.runs", "zq-pat-user", "PLATFORM_ADMIN")
        assert event["details"]["queries"][0]["where"] == {"user": ["1 values"], "status": ["1 values"]}
    known = world.get("globex", "/v1/audit").json()["events"]
    assert world.get("platform", "/v1/export/runs.csv", where=json_of({"organization": ["acme"]})).status_code == 200
    assert world.get("globex", "/v1/audit").json()["events"] == known


def test_a_long_filter_is_cut(world: World) -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 31)]
    world.get("admin", "/v1/export/runs.csv", where=json_of({"day": days}))
    assert newest(world)["details"]["queries"][0]["where"]["day"][-1] == "and 10 more"


@pytest.fixture
def unwritable(world: World) -> Iterator[None]:
    """The audit cannot be added to, as when a disk is full."""
    with psycopg.connect(str(world.settings.database_url), autocommit=True) as connection:
        connection.execute(f"revoke insert on analytics.audit from {SERVICE}")
        yield
        columns = "organization, action, actor, role, via, object, details, reference"
        connection.execute(f"grant insert ({columns}) on analytics.audit to {SERVICE}")


def test_what_cannot_be_written_down_is_not_shown(world: World, unwritable: None) -> None:
    view = json_of({"panels": [{"name": "a", "query": BY_USER}]})
    for path, parameters in (
        (f"/v1/runs/{run_id('bo')}", {}),
        ("/v1/runs", {}),
        ("/v1/export/runs.csv", {}),
        ("/v1/export/runs.parquet", {}),
        ("/v1/export/runs.manifest.json", {}),
        ("/v1/export/page.zip", {"view": view}),
        ("/v1/audit.csv", {}),
    ):
        reply = world.get("admin", path, **parameters)
        assert reply.status_code == 503, path
        assert "zq-" not in reply.text
    asked = {"json": {"queries": [BY_USER]}, "headers": {"accept": "text/csv"}}
    assert world.request("admin", "POST", "/v1/query", **asked).status_code == 503
    assert world.get("member", f"/v1/runs/{run_id('ada')}").status_code == 200


def test_a_change_that_cannot_be_written_down_is_not_made(world: World, unwritable: None) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        set_organization(world.record, "acme", "Renamed")
    with world.record.unscoped_reader() as connection:
        assert connection.execute("select from analytics.organizations where name = 'Renamed'").fetchall() == []


def test_nobody_reads_another_organizations_audit_in_sql(world: World) -> None:
    world.get("globex", f"/v1/runs/{run_id('gus')}")
    for named, seen in (("globex", {"globex"}), ("acme", {"acme"}), ("", set()), ("nowhere", set())):
        with world.record.organization(named) as connection:
            rows = connection.execute("select distinct organization from analytics.audit").fetchall()
            assert {row[0] for row in rows} <= seen


@pytest.mark.parametrize(
    "statement",
    [
        "update analytics.audit set actor = 'nobody'",
        "delete from analytics.audit",
        "truncate analytics.audit",
        "insert into analytics.audit (organization, action, via, at) values ('acme', 'login', 'api', 'epoch')",
        "insert into analytics.audit (id, action, via) overriding system value values (1, 'login', 'api')",
        "insert into analytics.audit (organization, action, via) values ('globex', 'login', 'api')",
        "insert into analytics.audit (organization, action, via) values (null, 'login', 'api')",
    ],
)
def test_what_stands_in_the_audit_stays_as_it_was_written(world: World, statement: str) -> None:
    for enter in (world.record.organization("acme"), world.record.unscoped_reader()):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), enter as connection:
            connection.execute(statement)
    with psycopg.connect(str(world.settings.database_url)) as connection:
        connection.execute("set role agent_analytics_owner")
        assert connection.execute("select from analytics.audit").fetchall() == []
        if "insert" not in statement and "truncate" not in statement:
            assert connection.execute(statement).rowcount == 0


def test_pages_of_the_audit_hold_each_event_once_and_filters_choose(world: World) -> None:
    for owner in ("ada", "bo", "cy", "nell"):
        world.get("admin", f"/v1/runs/{run_id(owner)}")
    whole = world.get("admin", "/v1/audit", limit=1000, action="run.viewed").json()
    assert whole["next"] is None
    found, cursor = [], None
    while True:
        page = world.get("admin", "/v1/audit", limit=3, action="run.viewed", **({"cursor": cursor} if cursor else {}))
        found += page.json()["events"]
        if not (cursor := page.json()["next"]):
            break
    assert found == whole["events"]
    assert sorted(each["at"] for each in found) == [each["at"] for each in reversed(found)]
    one = found[1]
    assert one in world.get("admin", "/v1/audit", since=one["at"], actor=one["actor"]).json()["events"]
    assert one not in world.get("admin", "/v1/audit", until=one["at"]).json()["events"]
    wrong = world.get("admin", "/v1/audit", action="run.veiwed")
    assert (wrong.status_code, wrong.json()["detail"][:61]) == (
        422,
        "Unknown action 'run.veiwed'. Did you mean 'run.viewed'? Known",
    )


def test_the_audit_as_csv_is_the_same_and_stands_in_itself(world: World) -> None:
    text = world.get("admin", "/v1/audit.csv", action="run.viewed").text
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    events = world.get("admin", "/v1/audit", action="run.viewed", limit=1000).json()["events"]
    assert [(row["object"], json.loads(row["details"])) for row in rows] == [
        (each["object"], each["details"]) for each in events
    ]
    event = newest(world)
    assert (event["action"], event["details"]) == ("export.audit", {"where": {"action": "run.viewed"}})


def test_an_event_of_an_unknown_kind_is_a_mistake_of_ours(record: Record) -> None:
    with pytest.raises(ValueError, match="declare them in ACTIONS"):
        Event("run.seen", SYSTEM, "acme")
    with pytest.raises(RecordUnavailable, match="cannot be written"):
        audit.write(record, Event("sql.login", Actor("a\0", None, "api"), "acme"))


def test_several_events_are_written_or_none(record: Record) -> None:
    good, bad = Event("sql.login", SYSTEM, "acme"), Event("sql.login", Actor("\0", None, "api"), "globex")
    with pytest.raises(RecordUnavailable):
        audit.write(record, good, bad)
    assert list(audit.every(record, None, Asked())) == []
    audit.write(record, good, Event("sql.login", SYSTEM, None))
    assert [row[1] for row in audit.every(record, "acme", Asked())] == ["acme"]
    assert {row[1] for row in audit.every(record, None, Asked())} == {"acme", None}


@pytest.fixture
def command(settings: Settings, record: Record, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    monkeypatch.setenv("AGENT_ANALYTICS_HOME", str(settings.home))
    monkeypatch.setenv("AGENT_ANALYTICS_DATABASE_URL", str(settings.database_url))
    monkeypatch.setenv("LOGNAME", "somebody-else")
    ingest(record, [a_run("a"), a_run("g", organization="globex")])

    def run(*words: str) -> tuple[int, str, str]:
        return main(words), *capsys.readouterr()

    return run


def test_commands_stand_in_the_audit_under_the_operating_systems_account(command: Any) -> None:
    assert command("organization", "set", "acme", "--timezone", "Europe/Berlin")[0] == 0
    assert command("organization", "set", "acme", "--timezone", "Europe/Berlin")[0] == 0
    assert command("export", "runs", "--as", "MEMBER:acme:ada", "-o", "-")[0] == 0
    status, out, _ = command("audit", "--as", "ORG_ADMIN:acme", "--format", "json")
    exported, changed = json.loads(out)
    account = pwd.getpwuid(os.getuid()).pw_name
    assert status == 0
    assert [(each["via"], each["role"], each["actor"]) for each in (exported, changed)] == [
        ("command", None, account)
    ] * 2
    assert (exported["action"], exported["details"]["as"]) == ("export.runs", "MEMBER:acme:ada")
    zones = [changed["details"][when]["timezone"] for when in ("before", "after")]
    assert (changed["action"], zones) == ("organization.changed", ["UTC", "Europe/Berlin"])


def test_the_command_shows_the_audit_to_admins_alone(command: Any) -> None:
    command("organization", "set", "globex", "--name", "=Globex\x1b")
    command("organization", "set", "globex", "--name", "=Globex")
    assert command("audit", "--as", "ORG_ADMIN:acme")[:2] == (0, "")
    assert "\torganization.changed\t" in command("audit", "--as", "PLATFORM_ADMIN")[1]
    assert command("audit", "--as", "ORG_ADMIN:globex", "--format", "csv")[1].startswith("at,organization,action,")
    refused = command("audit", "--as", "TEAM_LEAD:acme:ada:Search")
    assert refused == (
        1,
        "",
        "agent-analytics: The audit is read by ORG_ADMIN and PLATFORM_ADMIN, and you are a TEAM_LEAD.\n",
    )
    assert command("audit", "--as", "ORG_ADMIN:acme", "--limit", "0")[0] == 2
    assert command("audit", "--as", "ORG_ADMIN:acme", "--action", "x")[0] == 2
