"""The API over real HTTP: answers within the bearer's scope, and one clear line for whatever is wrong."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from agent_analytics.client import Session, connect
from agent_analytics.errors import Forbidden, QueryError, ServiceError
from agent_analytics.period import Days
from agent_analytics.query import Query
from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import a_run, ingest
from served import served, wait_for

MARCH = Days(date(2026, 3, 1), date(2026, 3, 31))
ADMIN = Principal("ORG_ADMIN", "acme")


@dataclass(frozen=True)
class Api:
    url: str
    home: Path

    def session(self, principal: Principal) -> Session:
        return Session(self.url, lambda: tokens.issue(self.home, principal, datetime.now(UTC)))

    def post(self, body: Any, token: str | None = None) -> httpx2.Response:
        token = tokens.issue(self.home, ADMIN, datetime.now(UTC)) if token is None else token
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers["content-type"] = "application/json"
        return httpx2.post(f"{self.url}/v1/query", content=content, headers=headers)


@pytest.fixture
def api(settings: Settings, record: Record) -> Iterator[Api]:
    ingest(record, [a_run("a"), a_run("b", user="bo", team=None), a_run("c", organization="globex")])
    with served(settings) as url:
        yield Api(url, settings.home)


def test_it_is_ready_once_it_counts_what_was_committed(api: Api) -> None:
    def status(since: datetime) -> int:
        return httpx2.get(f"{api.url}/health/ready", params={"since": since.isoformat()}).status_code

    now = datetime.now(UTC)
    wait_for(lambda: status(now) == 200)
    assert status(now + timedelta(hours=1)) == 503


def test_many_questions_in_one_call(api: Api) -> None:
    whole, teams = api.session(ADMIN).answers(
        [Query(["runs", "cost"], period=MARCH), Query(["runs"], ["team", "day"], period=MARCH)]
    )
    assert whole.rows == ((2, Decimal("0.009000000")),)
    counted = {row for row in teams.rows if row[-1]}
    assert counted == {("Search", date(2026, 3, 28), 1), (None, date(2026, 3, 28), 1)}
    assert len(teams.rows) == 2 * len(MARCH)
    assert (whole.engine, whole.zone, whole.days) == ("cache", "UTC", MARCH)
    assert whole.reason == "You see all of acme because you administer it."
    assert api.session(ADMIN).answer(Query(["runs", "cost"], period=MARCH), "record").rows == whole.rows


def test_new_runs_are_counted_within_seconds(api: Api, record: Record) -> None:
    ingest(record, [a_run("d")])
    wait_for(lambda: api.session(ADMIN).answer(Query(["runs"], period=MARCH)).rows == ((3,),))


def test_the_bearer_decides_what_is_seen(api: Api) -> None:
    asked = Query(["runs"], ["organization"], period=MARCH)
    assert api.session(Principal("ORG_ADMIN", "globex")).answer(asked).rows == (("globex", 1),)
    assert api.session(Principal("MEMBER", "acme", "bo")).answer(asked).rows == (("acme", 1),)
    assert api.session(Principal("PLATFORM_ADMIN", None)).answer(asked).rows == (("acme", 2), ("globex", 1))
    foreign = Query(["runs"], where={"organization": ["globex"]}, period=MARCH)
    with pytest.raises(QueryError, match=r"^Unknown organization 'globex'\. Known: acme\.$"):
        api.session(ADMIN).answer(foreign)
    with pytest.raises(Forbidden, match="active_users may not be asked for as MEMBER"):
        api.session(Principal("MEMBER", "acme", "bo")).answer(Query(["active_users"], period=MARCH))


def test_what_is_beyond_a_limit_and_what_was_before_come_with_the_answer(api: Api) -> None:
    first, before = api.session(ADMIN).answers(
        [
            Query(["runs", "cost"], ["user"], period=MARCH, order="user", limit=1, other=True),
            Query(["runs"], period=Days(date(2026, 3, 29), date(2026, 3, 30)), before=True),
        ]
    )
    assert (first.rows, first.other, first.others) == (
        (("ada", 1, Decimal("0.004500000")),),
        (1, Decimal("0.004500000")),
        1,
    )
    assert (before.rows, before.days) == (((2,),), Days(date(2026, 3, 27), date(2026, 3, 28)))


def forged(home: Path) -> dict[str, str]:
    """Tokens that were not issued, or not for now."""
    now = datetime.now(UTC)
    claims = {"aud": tokens.AUDIENCE, "iat": int(now.timestamp()), "exp": int(now.timestamp()) + 900}
    claims["principal"] = ADMIN.to_json()
    public = json.dumps(tokens._key(home).as_dict(private=False))
    other = OKPKey.generate_key("Ed25519")
    valid = tokens.issue(home, ADMIN, now)
    head, body, signature = valid.split(".")
    return {
        "none": "",
        "nonsense": "abc",
        "expired": tokens.issue(home, ADMIN, now - timedelta(minutes=16)),
        "of the future": tokens.issue(home, ADMIN, now + timedelta(minutes=5)),
        "of another key": jwt.encode({"alg": "Ed25519"}, claims, other, algorithms=["Ed25519"]),
        "by the public key": jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(public), algorithms=["HS256"]),
        "unsigned": f"{head}.{body}.",
        "changed": f"{head}.{body[:-2]}AA.{signature}",
    }


def test_what_changed_is_asked_in_one_call(api: Api, record: Record) -> None:
    ingest(record, [a_run("earlier", started_at="2026-02-10T09:00:00Z", input_cost="0.001", output_cost="0")])
    wait_for(lambda: api.session(ADMIN).answer(Query(["runs"], period=MARCH, before=True)).rows == ((1,),))
    change = api.session(ADMIN).what_changed(MARCH)
    assert (change.before.runs, change.after.runs) == (1, 2)
    assert sum(part.amount for part in change.parts) == change.after.cost - change.before.cost == Decimal("0.008")


@pytest.mark.parametrize(
    "kind",
    ["none", "nonsense", "expired", "of the future", "of another key", "by the public key", "unsigned", "changed"],
)
def test_a_token_that_we_did_not_issue_for_now_is_refused(api: Api, kind: str) -> None:
    response = api.post({"queries": [{"measures": ["runs"]}]}, forged(api.home)[kind])
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"queries": [{"measures": ["cots"]}]}, "Unknown measure 'cots'. Did you mean 'cost'?"),
        ({"queries": [{"measures": ["runs"]}], "engine": "oracle"}, "Unknown engine 'oracle'."),
        ({"queries": [{"measures": ["runs"]}], "scope": {}}, "body.scope: Extra inputs are not permitted."),
        ({"queries": []}, "body.queries: List should have at least 1 item"),
        ({"queries": [{"measures": ["runs"]}] * 51}, "body.queries: List should have at most 50 items"),
        ({"queries": [{"measures": ["runs"], "last": "999999999999d"}]}, "'999999999999d' is not a number of days."),
        (b"{", "body.1: JSON decode error."),
        (b"\xff", "There was an error parsing the body"),
        ([], "body: "),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(api: Api, body: Any, detail: str) -> None:
    response = api.post(body)
    assert response.status_code in (400, 422)
    assert response.json()["detail"].startswith(detail)


def test_the_client_raises_what_the_api_says(api: Api) -> None:
    with pytest.raises(QueryError, match=r"The limit is 100001; use 1 to 100000\."):
        api.session(ADMIN).answer(unchecked(limit=100_001))
    with pytest.raises(Forbidden, match="not valid"):
        Session(api.url, lambda: "abc").answer(Query(["runs"]))
    with pytest.raises(ServiceError, match="does not answer"):
        Session("http://127.0.0.1:1", lambda: "abc").answer(Query(["runs"]))


def unchecked(**fields: Any) -> Query:
    """A query as a client of another version may send it."""
    query = Query(["runs"])
    for name, value in fields.items():
        object.__setattr__(query, name, value)
    return query


def test_an_organization_that_has_sent_nothing_yet_has_no_runs(api: Api) -> None:
    assert api.session(Principal("ORG_ADMIN", "newcomer")).answer(Query(["runs", "cost"])).rows == ((0, None),)


def test_a_kernel_connects_by_its_environment(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(tokens.issue(api.home, ADMIN, datetime.now(UTC)))
    session = connect({"AGENT_ANALYTICS_API_URL": api.url, "AGENT_ANALYTICS_TOKEN_FILE": str(file)})
    assert session.answer(Query(["runs"], period=MARCH)).frame["runs"].tolist() == [2]
    file.unlink()
    with pytest.raises(Forbidden, match="Open the page again"):
        session.answer(Query(["runs"]))
    with pytest.raises(ServiceError, match="not started by Agent Analytics"):
        connect({})
