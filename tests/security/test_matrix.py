"""Every role at every route and page, with every kind of object: nothing foreign, and what is foreign is not there."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from security.expected import TABLE
from security.world import OWNERS, PEOPLE, SEES, World, foreign, json_of, owners_in, run_id, told

from agent_analytics import cursor
from agent_analytics.serving.api import document
from agent_analytics.serving.api.app import PREFIX, described
from agent_analytics.serving.dashboards import PAGES

ROLES = ("none", *PEOPLE)
OWNER = {"member": "ada", "lead": "lena", "leads": "liz", "admin": "ann", "globex": "gwen", "platform": "pat"}
NAMED = {"mate": "bo", "other": "cy", "nobody": "nell", "foreign": "gus", "missing": "none"}


@dataclass(frozen=True)
class Line:
    """One line of the table: what is asked, what it shows, and each role's outcome."""

    method: str
    path: str
    body: str
    accept: str
    shows: str
    outcomes: dict[str, str]

    @property
    def route(self) -> tuple[str, str]:
        path = self.path.partition("?")[0]
        return self.method, re.sub(r"\{\w+\}", "{run_id}", path)


def line_of(text: str) -> Line:
    request, shows, *outcomes = re.split(r"  +", text.strip(), maxsplit=1)[0], *text.split()[-8:]
    found = re.fullmatch(r"(\w+) ([^\s<]+(?:=<[\w ]+>)?)(?: <([\w ]+)>)?(?: (\S+))?", request)
    assert found, request
    assert len(outcomes) == len(ROLES), text
    method, path, body, accept = found.groups("")
    return Line(method, path, body, accept, shows, dict(zip(ROLES, outcomes, strict=True)))


ROWS = [line for line in TABLE.strip().splitlines()[1:] if line.strip()]
LINES = [line_of(text) for text in ROWS]
ASKED = [line for line in LINES if line.method != "PAGE"]


def where(words: str) -> dict[str, list[str]]:
    """The filter `<dimension> of <whom>`."""
    dimension, _, whom = words.partition(" of ")
    organization, team, _ = OWNERS[NAMED[whom]]
    values = {"team": f"zq-{team}-team", "organization": organization}
    return {dimension: [values.get(dimension, f"zq-{NAMED[whom]}-{dimension}")]}


def query_of(words: str) -> dict[str, Any]:
    every = {"measures": ["runs", "cost"], "last": "7d"}
    return {
        "anonymous total": every | {"by": ["agent_type"]},
        "anonymous by user": every | {"by": ["user"]},
        "by user": every | {"by": ["user", "team", "agent_type", "model", "error_category"]},
        "by organization": every | {"by": ["organization"]},
        "total": every | {"measures": ["runs", "cost", "duration_p95", "success_rate"]},
        "other": every | {"by": ["user"], "limit": 1, "other": True},
        "people": every | {"measures": ["active_users"]},
    }.get(words) or every | {"by": ["user"], "where": where(words.removeprefix("anonymous "))}


def parameter_of(name: str, words: str) -> str:
    if name == "cursor":
        places = {
            "of admin": ["started_at", "2999-01-01T00:00:00+00:00", run_id("bo")],
            "of globex": ["started_at", "2999-01-01T00:00:00+00:00", run_id("gus")],
            "of the audit of globex": ["2999-01-01T00:00:00+00:00", 2**62],
            "made up": ["started_at", "' or true --", {}],
        }
        return cursor.encode(places[words])
    if name == "view":
        return json_of({"panels": [{"name": words, "query": query_of(words)}]})
    return json_of(where(words))


def ask(world: World, line: Line, role: str, engine: str = "cache") -> httpx2.Response:
    ids = {name: run_id(owner) for name, owner in (NAMED | {"own": OWNER.get(role, "ada")}).items()}
    path, _, parameters = re.sub(r"\{(\w+)\}", lambda place: ids[place[1]], line.path).partition("?")
    if found := re.fullmatch(r"(\w+)=<(.+)>", parameters):
        parameters = f"{found[1]}={quote(parameter_of(found[1], found[2]), safe='')}"
    body: Any = None
    if line.body:
        asked = query_of(line.body)
        page = {"panels": [{"name": line.body, "query": asked}]}
        called = {"queries": [asked], "engine": engine, "anonymous": line.body.startswith("anonymous")}
        body = called if path == "/v1/query" else page
    address = f"{path}?{parameters}" if parameters else path
    return world.request(role, line.method, address, json=body, headers={"accept": line.accept or "*/*"})


def check(line: Line, role: str, reply: httpx2.Response) -> None:
    text = told(reply)
    assert str(reply.status_code) == line.outcomes[role], text
    asked_for = set(re.findall(r"zq-[\w-]+?-(?:team|user|model|agent_type)", str(reply.request.url)))
    asked_for |= set(re.findall(r"zq-[\w-]+?-(?:team|user|model|agent_type)", reply.request.content.decode()))
    for name in asked_for if reply.status_code in (403, 422) else ():
        # A refusal repeats the name that was asked for.
        text = text.replace(name, "")
    assert not [each for each in foreign(role) if each in text]
    if reply.status_code == 200 and line.shows == "all":
        named = re.search(r"organization=(\w+)", line.path)
        within = {owner for owner in SEES[role] if not named or OWNERS[owner][0] == named[1]}
        assert owners_in(text) == within
    if reply.status_code == 200 and line.shows == "it":
        (place,) = re.findall(r"\{(\w+)\}", line.path)
        assert f"zq-{NAMED.get(place) or OWNER[role]}-note" in text
    if reply.status_code >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert set(reply.json()) == {"type", "title", "status", "detail", "reference"}


@pytest.mark.parametrize("line", ASKED, ids=lambda line: f"{line.method} {line.path} {line.body} {line.accept}".strip())
def test_each_role_gets_what_the_table_says(world: World, line: Line) -> None:
    for engine in ("cache", "record") if line.path == "/v1/query" else ("cache",):
        for role in ROLES:
            check(line, role, ask(world, line, role, engine))


def test_every_route_and_page_has_a_line() -> None:
    """From the OpenAPI document, which holds every route."""
    app = described()
    routes = {
        (method.upper(), path.removeprefix(PREFIX))
        for path, methods in document.of(app)["paths"].items()
        for method in methods
    }
    assert {line.route for line in ASKED} == routes
    assert {line.path for line in LINES if line.method == "PAGE"} == set(PAGES)


def test_each_page_is_open_to_the_roles_that_the_table_says() -> None:
    for line in LINES:
        if line.method == "PAGE":
            open_to = {role for role in PEOPLE if PEOPLE[role].role in PAGES[line.path].roles}
            assert open_to == {role for role, outcome in line.outcomes.items() if outcome == "yes"}


def test_nothing_answers_beyond_the_document(world: World) -> None:
    """Neither the framework's own pages, nor another method, nor an address beside."""
    for method, path in (
        *(("GET", path) for path in ("/docs", "/redoc", "/openapi.json", "/v1", "/v1/audit/1", "/internal", "/../hub")),
        *((method, path) for method in ("PUT", "DELETE", "PATCH", "TRACE") for path in ("/v1/audit", "/v1/runs/a")),
    ):
        assert world.request("platform", method, path).status_code in (404, 405, 422), path


@pytest.mark.parametrize("role", PEOPLE)
def test_a_foreign_run_is_answered_as_a_missing_one(world: World, role: str) -> None:
    """The same status, headers and bytes but for the request's reference, and nothing in the audit."""

    def answered(run: str, **parameters: str) -> tuple[Any, ...]:
        reply = world.get(role, f"/v1/runs/{run}", **parameters)
        reference = reply.json()["reference"]
        headers = {name: value for name, value in reply.headers.items() if name != "date"}
        return reply.status_code, headers, reply.text.replace(reference, "")

    named = {"organization": "acme"} if role == "platform" else {}
    missing = answered(run_id("none"), **named)
    assert missing[0] == 404
    unseen = sorted(set(OWNERS) - SEES[role]) if role != "platform" else ["gus", "gwen"]
    for owner in unseen:
        assert answered(run_id(owner), **named) == missing
        assert answered(run_id(owner), organization="globex" if OWNERS[owner][0] == "acme" else "acme") == missing
