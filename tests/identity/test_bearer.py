"""What the API's routes may ask of a bearer: rights that serve for reading, or rights verified just now."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from identity.published import Published, published

from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.serving.api.bearer import Asking, Verified
from agent_analytics.serving.machine_clients import MachineClients
from agent_analytics.settings import Settings

ADA = Principal("ORG_ADMIN", "acme", "ada")


@pytest.fixture
def shown() -> Iterator[Published]:
    with published() as shown:
        yield shown


@pytest.fixture
def app(shown: Published, tmp_path: Path) -> FastAPI:
    app = FastAPI()
    app.state.settings = Settings(home=tmp_path, oidc_issuer=shown.issuer, oidc_client_secret="s")
    app.state.machine_clients = MachineClients(app.state.settings)

    @app.get("/read")
    def read(asking: Asking) -> str:
        return asking.role

    @app.post("/write")
    def write(asking: Verified) -> str:
        return asking.role

    return app


def ask(app: FastAPI, method: str, path: str, token: str) -> httpx2.Response:
    async def asked() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api") as client:
            return await client.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})

    return asyncio.run(asked())


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (50, 200), (62, 403), (900, 403)])
def test_rights_that_could_not_be_checked_are_for_reading(
    app: FastAPI, tmp_path: Path, seconds: int, status: int
) -> None:
    now = datetime.now(UTC)
    token = tokens.issue(tmp_path, ADA, now, verified_at=now - timedelta(seconds=seconds))
    assert ask(app, "GET", "/read", token).json() == "ORG_ADMIN"
    answer = ask(app, "POST", "/write", token)
    assert answer.status_code == status
    if status == 403:
        assert "could not be checked" in answer.json()["detail"]


@pytest.mark.parametrize("token", ["", "x", "x.y.z", "eyJ0eXAiOiJhYStqd3QifQ.e30.x", "eyJhbGciOiJub25lIn0.e30."])
def test_without_a_token_that_holds_there_is_no_answer(app: FastAPI, token: str) -> None:
    answer = ask(app, "GET", "/read", token)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_provider_out_of_reach_is_said_and_is_no_refusal(app: FastAPI, shown: Published) -> None:
    shown.documents.clear()
    answer = ask(app, "GET", "/read", "an-opaque-one")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


def test_a_machine_client_writes_too(app: FastAPI, shown: Published) -> None:
    now = int(datetime.now(UTC).timestamp())
    claims = {"organization": "acme", "role": "ORG_ADMIN", "aud": "agent-analytics-api", "iat": now, "exp": now + 60}
    token = shown.token(header={"typ": "at+jwt"}, **claims)
    assert ask(app, "POST", "/write", token).json() == "ORG_ADMIN"
    assert ask(app, "POST", "/write", shown.token(**claims)).status_code == 401
