"""Runs one by one over real HTTP: all that is known of one, and lists whose pages hold each run once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agent_analytics.client import Session
from agent_analytics.errors import NotFound, QueryError
from agent_analytics.period import Days, Last
from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.serving.api import document
from agent_analytics.serving.api.app import described
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import NOW, a_run, any_runs, ingest
from served import served

MARCH = Days(NOW.date().replace(day=1), NOW.date())
STRANGE = "a/b?c=d&e#f %41 ü \u2028"


@pytest.fixture
def session(settings: Settings, record: Record) -> Iterator[Any]:
    ingest(record, any_runs("acme"))
    whole = a_run(STRANGE, attributes={"x": [1.50, 10**30, "ü"]}, model="m", error_message="a\nb", retries=2)
    ingest(record, [whole, a_run("g", organization="globex")])
    with served(settings) as url:

        def asking(role: str = "ORG_ADMIN", *who: Any) -> Session:
            organization = None if role == "PLATFORM_ADMIN" else "acme"
            return Session(url, lambda: tokens.issue(settings.home, Principal(role, organization, *who), now()))

        yield asking


def now() -> datetime:
    return datetime.now(UTC)


def test_a_run_is_told_whole(session: Any) -> None:
    run = session().run(STRANGE)
    assert run == {
        **dict.fromkeys(("model_version", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")),
        **{"organization": "acme", "run_id": STRANGE, "user": "ada", "team": "Search", "agent_type": "review"},
        **{"status": "succeeded", "model": "m", "input_tokens": 1000, "output_tokens": 100, "retries": 2},
        **{"input_cost": Decimal("0.003"), "output_cost": Decimal("0.0015"), "cost": Decimal("0.0045")},
        **{"cost_source": "reported", "error_category": None, "error_message": "a\nb", "duration": 300},
        "attributes": {"x": [Decimal("1.50"), 10**30, "ü"]},
        "started_at": datetime(2026, 3, 28, 9, tzinfo=UTC),
        "ended_at": datetime(2026, 3, 28, 9, 5, tzinfo=UTC),
        "updated_at": datetime(2026, 3, 28, 9, 5, tzinfo=UTC),
        "day": "2026-03-28",
        "hour": "2026-03-28T09:00:00",
    }


def test_who_runs_the_platform_names_the_organization(session: Any) -> None:
    assert session("PLATFORM_ADMIN").run("g", organization="globex")["organization"] == "globex"
    with pytest.raises(QueryError, match="Name the organization"):
        session("PLATFORM_ADMIN").run("g")
    with pytest.raises(NotFound, match="There is no such run, or it is not yours to see"):
        session().run("g")
    with pytest.raises(NotFound):
        session().run("a\0")


@pytest.mark.parametrize("sort", ["started_at", "cost", "duration"])
def test_pages_hold_each_run_once_in_order(session: Any, sort: str) -> None:
    """Also where many are equal, and where the value is unknown."""
    found: list[dict[str, Any]] = []
    after = None
    while not found or after:
        listed = session().runs(period=MARCH, sort=sort, limit=37, after=after)
        found, after = found + list(listed.runs), listed.next
    ids = [run["run_id"] for run in found]
    assert len(ids) == len(set(ids)) > 200
    values = [run[sort] for run in found]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=True) + [None] * (len(values) - len(known))
    assert sort == "started_at" or None in values


def test_filters_choose_as_everywhere(session: Any) -> None:
    asked = {"team": [None], "status": ["failed"]}
    runs = session().runs(asked, MARCH, limit=200).runs
    assert {(run["team"], run["status"]) for run in runs} == {(None, "failed")}
    own = session("MEMBER", "bo").runs(period=MARCH, limit=200).runs
    assert {run["user"] for run in own} == {"bo"}
    led = session("TEAM_LEAD", "bo", ("Search",)).runs(period=MARCH, limit=200).runs
    assert all(run["user"] == "bo" or run["team"] == "Search" for run in led)
    assert "attributes" not in led[0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"limit": 201}, "The limit is 201; use 1 to 200."),
        ({"limit": 0}, "The limit is 0; use 1 to 200."),
        ({"sort": "user"}, "Unknown sort 'user'. Known: started_at, cost, duration."),
        ({"after": "abc"}, "The cursor is not one that this list gave. Start without one."),
        ({"where": {"team": ["Serch"]}}, "Unknown team 'Serch'. Did you mean 'Search'?"),
        ({"period": Last(1), "organization": "acme", "limit": -1}, "The limit is -1; use 1 to 200."),
    ],
)
def test_a_wrong_list_is_told_what_is_wrong(session: Any, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError) as failure:
        session().runs(**asked)
    assert str(failure.value).startswith(message)


def test_a_cursor_of_another_order_is_refused(session: Any) -> None:
    after = session().runs(period=MARCH, limit=1).next
    with pytest.raises(QueryError, match="The cursor is not one that this list gave"):
        session().runs(period=MARCH, sort="cost", after=after)


def test_every_reply_has_the_shape_that_the_document_says(session: Any) -> None:
    """Exactly its fields, for each route whose reply is JSON."""
    call = session()._call
    asked = {
        "queries": [{"measures": ["runs", "cost", "success_rate"], "by": ["day", "team"], "limit": 2, "other": True}]
    }
    document.Answers.model_validate(session()._post("/v1/query", asked))
    period = {"from": "2026-03-01", "to": "2026-03-31", "limit": "3"}
    document.Runs.model_validate(call("GET", "/v1/runs", params=period))
    document.OneRun.model_validate(call("GET", "/v1/runs/run-1"))
    document.Manifest.model_validate(call("GET", "/v1/export/runs.manifest.json"))
    document.Freshness.model_validate(call("GET", "/v1/freshness"))
    events = document.Events.model_validate(call("GET", "/v1/audit"))
    assert [event.action for event in events.events][:2] == ["export.manifest", "run.viewed"]


def test_the_document_says_all_of_every_route(session: Any) -> None:
    told = session()._call("GET", "/v1/openapi.json")
    assert told == described().state.document
    assert told["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    operations = {
        f"{method} {path}": each for path, methods in told["paths"].items() for method, each in methods.items()
    }
    for name, each in operations.items():
        assert each["summary"], name
        assert all(parameter.get("description") for parameter in each.get("parameters", ())), name
        if "/health/" in name:
            continue
        assert each["security"] == [{"HTTPBearer": []}], name
        assert {"200", "401", "403", "413", "414", "422", "500", "503"} <= set(each["responses"]), name
        for status, reply in each["responses"].items():
            kinds = {"application/problem+json"} if status != "200" else set(reply["content"])
            assert set(reply["content"]) == kinds != set(), name
            assert all(content["schema"] for content in reply["content"].values()), name


def test_the_documents_examples_are_answered(session: Any) -> None:
    shapes = described().state.document["components"]["schemas"]
    bodies = {"Asked": "/v1/query", "View": "/v1/export/page.zip"}
    assert {name for name, shape in shapes.items() if "examples" in shape} == set(bodies)
    for name, path in bodies.items():
        (example,) = shapes[name]["examples"]
        reply = session()._http.post(path, json=example, headers={"authorization": f"Bearer {session()._token()}"})
        assert reply.status_code == 200, name
