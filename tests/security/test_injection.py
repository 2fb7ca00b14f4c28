"""SQL and other code through whatever the API can be asked by: a clear refusal or a true answer, never a failure."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from security.world import OWNERS, World, foreign, told

from agent_analytics.catalog import DIMENSIONS

OURS = (
    *(
        "'",
        '"',
        "`",
        "\\",
        "\\'",
        "%27",
        "''",
        "$1",
        "$$",
        "$q$",
        "%s",
        "%(a)s",
        ":a",
        "?",
        "{}",
        "{0.__class__}",
        ";",
        "--",
    ),
    *("/*", "*/", "\0", "\ud800", "\u202e", "ʼ", "＇", "🦀", "\r\n", "../../etc/passwd", "..", ".", "%00", "%2e%2e%2f"),
    *("' or '1'='1", "' or true --", "') or 1=1 --", "1; drop table analytics.runs; --", "' union select null --"),
    *(
        "'; select pg_sleep(9) --",
        "' || pg_sleep(9) || '",
        "(select current_user)",
        "user",
        "current_user",
        "cost desc",
    ),
    *(
        "runs; select 1",
        "1 desc",
        "random()",
        "local_runs.organization",
        "analytics.runs",
        "organization = organization",
    ),
    *("'; set app.organization = 'globex'; --", "'||(select set_config('app.organization','globex',true))||'"),
    *(
        "x' and (select count(*) from analytics.runs) > 0 --",
        "copy (select 1) to program 'id'",
        "read_csv('/etc/passwd')",
    ),
    *("install httpfs", "pg_read_file('/etc/passwd')", "${jndi:ldap://x/a}", "{{7*7}}", "<%= 7*7 %>", "a" * 5000),
    *("null", "NaN", "Infinity", "-1", "1e999", "0x1F", "９", "true", "[]", "0", str(2**63), str(2**200)),
)
# What only the inside knows. A payload may say it itself, so what was asked is left out of the reply first.
INSIDE = (
    *(
        "psycopg",
        "duckdb",
        "sqlalchemy",
        "traceback",
        "site-packages",
        "local_runs",
        "syntax error",
        "relation",
        "column ",
    ),
    *("select ", " where ", "line 1:", "hint:", "sqlstate", ".py", "/home/", "/root", "/tmp/aa-", "agent_analytics_"),
)


def payloads(shared: Path, full: bool, door: int) -> list[str]:
    """Ours and the naughty strings, or a fixed few of them at each door: in the end each of ours at some."""
    naughty = json.loads((shared / "hostile-blns" / "blns.json").read_text())
    return [*OURS, *naughty] if full else [*OURS[door % 5 :: 5], *naughty[door % 100 :: 100]]


Ask = Callable[[World, str], httpx2.Response]


def by_query(**fields: Any) -> Ask:
    """A question with the payload where a field says so."""

    def ask(world: World, payload: str) -> httpx2.Response:
        asked = {"measures": ["runs"], "last": "7d"} | {
            name: make(payload) if callable(make) else make for name, make in fields.items()
        }
        body = {"queries": [asked]}
        engine = asked.pop("engine", None)
        sent = json.dumps(body | ({"engine": engine} if engine else {}))
        return world.request("member", "POST", "/v1/query", content=sent, headers={"content-type": "application/json"})

    return ask


def by_parameter(path: str, name: str, make: Callable[[str], str] = str) -> Ask:
    def ask(world: World, payload: str) -> httpx2.Response:
        text = quote(make(payload), safe="", errors="surrogatepass")
        role = "admin" if "audit" in path else "member"
        return world.request(role, "GET", f"{path}?{name}={text}")

    return ask


def by_path(world: World, payload: str) -> httpx2.Response:
    return world.request("member", "GET", f"/v1/runs/{quote(payload, safe='', errors='surrogatepass')}")


def filter_by(name: str) -> Callable[[str], Any]:
    return lambda payload: {name: [payload]}


def filter_text(name: str) -> Callable[[str], str]:
    return lambda payload: json.dumps({name: [payload]})


DOORS: dict[str, Ask] = {
    **{f"filter {name}": by_query(where=filter_by(name)) for name in DIMENSIONS},
    "filter on the record": by_query(where=filter_by("team"), engine="record"),
    "filter name": by_query(where=lambda payload: {payload: ["a"]}),
    "where": by_query(where=str),
    "order": by_query(order=str),
    "by": by_query(by=lambda payload: [payload]),
    "measure": by_query(measures=lambda payload: [payload]),
    "from": by_query(**{"from": str, "last": None, "to": "2026-03-31"}),
    "last": by_query(last=str),
    "limit": by_query(limit=str),
    "other": by_query(other=str),
    "engine": by_query(engine=str),
    "field": lambda world, payload: by_query(**{payload: "a"})(world, payload),
    "a run": by_path,
    **{
        f"runs {name}": by_parameter("/v1/runs", name)
        for name in ("from", "to", "last", "where", "organization", "sort", "limit", "cursor")
    },
    "runs filter": by_parameter("/v1/runs", "where", filter_text("model")),
    "runs cursor": by_parameter("/v1/runs", "cursor", lambda payload: _cursor("started_at", payload, "a")),
    "runs cursor's id": by_parameter(
        "/v1/runs", "cursor", lambda payload: _cursor("started_at", "2999-01-01T00Z", payload)
    ),
    "a parameter's name": lambda world, payload: world.get(
        "member", "/v1/runs", **{payload.encode(errors="replace").decode(): "a"}
    ),
    "export filter": by_parameter("/v1/export/runs.csv", "where", filter_text("user")),
    "export hour": by_parameter("/v1/export/runs.csv", "where", filter_text("hour")),
    "export last": by_parameter("/v1/export/runs.parquet", "last"),
    "view": by_parameter("/v1/export/page.zip", "view"),
    "view's name": by_parameter("/v1/export/page.zip", "view", lambda payload: _view(payload)),
    **{
        f"audit {name}": by_parameter("/v1/audit", name)
        for name in ("action", "actor", "organization", "since", "until", "limit", "cursor")
    },
    "audit file": by_parameter("/v1/audit.csv", "actor"),
    "token": lambda world, payload: _bearing(world, payload),
    "accept": lambda world, payload: _bearing(world, None, payload),
}


def _cursor(*place: Any) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(json.dumps(place).encode()).decode()


def _view(name: str) -> str:
    return json.dumps({"panels": [{"name": name, "query": {"measures": ["runs"]}}]})


def _bearing(world: World, token: str | None, accept: str = "*/*") -> httpx2.Response:
    def header(text: str) -> bytes:
        return text.encode(errors="replace").translate(None, b"\0\r\n").strip()

    sent: dict[str, Any] = {"headers": {"accept": header(accept)}, "json": {"queries": [{"measures": ["runs"]}]}}
    if token is not None:
        sent["headers"]["authorization"] = (b"Bearer " + header(token)).strip()
    return world.request("none" if token is not None else "member", "POST", "/v1/query", **sent)


def check(reply: httpx2.Response, payload: str, role: str = "member") -> None:
    text = told(reply)
    assert reply.status_code in (200, 400, 401, 404, 413, 414, 422), (payload[:200], text[:500])
    assert not [each for each in foreign(role) if each in text]
    if reply.status_code != 200:
        assert len(reply.json()["reference"]) == 16
        detail = reply.json()["detail"].replace("relation", "") if payload == "" else reply.json()["detail"]
        for shown in (repr(payload[:200]), payload, *payload.split()):
            detail = detail.replace(shown, "")
        assert not [word for word in INSIDE if word in detail.lower()], (payload[:200], detail)


@pytest.mark.parametrize("door", DOORS)
def test_no_payload_is_run(world: World, shared: Path, request: pytest.FixtureRequest, door: str) -> None:
    """It is refused, or finds nothing but one's own."""
    role = "admin" if door.startswith("audit") else "member"
    for payload in payloads(shared, request.config.getoption("--full"), list(DOORS).index(door)):
        reply = DOORS[door](world, payload)
        assert reply.elapsed.total_seconds() < 8, payload
        check(reply, payload, role)


def test_after_all_of_it_the_record_is_what_it_was(world: World) -> None:
    with world.record.unscoped_reader() as connection:
        assert connection.execute("select count(*) from analytics.runs").fetchall() == [(len(OWNERS),)]
        tables = connection.execute("select count(*) from pg_tables where schemaname = 'analytics'").fetchall()
    assert tables[0][0] >= 7


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["measures", "by", "where", "order", "limit", "last", "from", "to", "other", "before", "x"])
questions = st.dictionaries(names, anything, max_size=5) | st.fixed_dictionaries(
    {
        "measures": st.just(["runs"]),
        "where": st.dictionaries(st.sampled_from([*DIMENSIONS]), st.lists(anything, max_size=3)),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=st.fixed_dictionaries({"queries": st.lists(questions, max_size=3)}) | anything)
def test_any_body_is_answered_or_refused(world: World, body: Any) -> None:
    sent = {"content": json.dumps(body), "headers": {"content-type": "application/json"}}
    reply = world.request("member", "POST", "/v1/query", **sent)
    assert reply.status_code in (200, 400, 403, 422), reply.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.lists(st.sampled_from(["started_at", "cost", "duration"]) | anything, min_size=3, max_size=3))
def test_any_cursor_is_a_place_or_refused(world: World, place: list[Any]) -> None:
    for sort in ("started_at", "cost", "duration"):
        reply = world.get("member", "/v1/runs", sort=sort, cursor=_cursor(sort, *place[1:]))
        check(reply, "")
    check(world.get("admin", "/v1/audit", cursor=_cursor(*place[:2])), "", "admin")


@pytest.mark.parametrize("depth", [100, 900, 5000, 200_000])
@pytest.mark.parametrize("mark", ["[]", "{}"])
def test_a_deep_body_is_refused(world: World, depth: int, mark: str) -> None:
    inner = ('{"a":' * depth + "1" + "}" * depth) if mark == "{}" else "[" * depth + "]" * depth
    for path, body in (
        ("/v1/query", f'{{"queries": [{{"measures": ["runs"], "where": {inner}}}]}}'),
        ("/v1/query", f'{{"queries": [{{"measures": {inner}}}]}}'),
        ("/v1/query", inner),
        ("/v1/export/page.zip", f'{{"panels": [{{"name": "a", "query": {{"by": {inner}}}}}]}}'),
    ):
        sent = {"content": body, "headers": {"content-type": "application/json"}}
        assert world.request("member", "POST", path, **sent).status_code in (400, 413, 422)


def test_what_is_too_long_is_refused_before_it_is_read(world: World) -> None:
    def endless(blocks: int) -> Iterator[bytes]:
        for _ in range(blocks):
            yield b" " * 65536

    large = b" " * (1024 * 1024 + 1)
    for content in (large, endless(20)):
        reply = world.request(
            "none", "POST", "/v1/query", content=content, headers={"content-type": "application/json"}
        )
        assert (reply.status_code, reply.json()["detail"]) == (413, "The body is larger than 1,048,576 bytes.")
    assert world.get("member", "/v1/runs", where="x" * 60_001).status_code == 414
    assert world.get("member", "/v1/runs/" + "x" * 60_001).status_code == 414


def test_more_values_than_anybody_chooses_are_refused(world: World) -> None:
    """Sixty thousand in one filter kept both engines busy for minutes."""
    query = {"measures": ["runs"], "where": {"day": ["2026-01-01"] * 60_000}}
    reply = world.request("member", "POST", "/v1/query", json={"queries": [query]})
    said = "day is filtered by 60,000 values; use at most 1,000."
    assert (reply.status_code, reply.json()["detail"]) == (422, said)
    query["where"]["day"] = [f"{year}-01-{day:02}" for year in range(1970, 2005) for day in range(1, 29)]
    for engine in ("cache", "record"):
        body = {"queries": [query], "engine": engine}
        reply = world.request("member", "POST", "/v1/query", json=body)
        assert (reply.status_code, reply.elapsed.total_seconds() < 8) == (200, True)
