"""The authorization code flow: how a browser's visit at the provider becomes a verified person, and stays one."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from agent_analytics import keys
from agent_analytics.serving.oidc import (
    Claims,
    IdentityRefused,
    Provider,
    ProviderRefusesUs,
    ProviderUnreachable,
    http_options,
    require,
    shown,
)
from agent_analytics.settings import Settings

SCOPES = "openid profile email offline_access"
REFUSALS = {"invalid_grant", "access_denied", "login_required", "interaction_required", "consent_required"}
OUTAGES = {"temporarily_unavailable", "server_error"}

Keep = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Attempt:
    """One sign-in under way: the secrets that bind the provider's answer to this browser."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Grant:
    """What the provider said of a person, verified, and the one-use token to ask again."""

    claims: Claims
    id_token: str
    refresh_token: str


class CodeFlow:
    """The authorization code flow with PKCE, state and nonce, and its refresh."""

    def __init__(self, provider: Provider, client_id: str, client_secret: str | None, redirect_uri: str) -> None:
        self.provider = provider
        self.client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri

    async def start(self) -> tuple[str, Attempt]:
        """Where to send the browser, and what to remember meanwhile. Raises ProviderUnreachable."""
        metadata = await self.provider.metadata()
        attempt = Attempt(generate_token(43), generate_token(43), generate_token(64))
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return url, attempt

    async def finish(self, attempt: Attempt, code: str, issuer: str | None, now: datetime) -> Grant:
        """The person whom `code` stands for; `issuer` as the redirect named it, if it did.

        Raises IdentityRefused or ProviderUnreachable.
        """
        metadata = await self.provider.metadata()
        expected = {metadata.issuer} if metadata.sends_issuer else {metadata.issuer, None}
        require(issuer in expected, "iss of the redirect", issuer)
        async with self._client() as client:
            answer = await _answered(
                client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.verifier,
                )
            )
        grant = await self._grant(answer, now)
        require(grant.claims.get("nonce") == attempt.nonce, "nonce", grant.claims.get("nonce"))
        return grant

    async def renew(self, refresh_token: str, subject: str, now: datetime, keep: Keep) -> Grant:
        """What the provider says of the same person now. Raises IdentityRefused or ProviderUnreachable.

        `keep` gets the next refresh token before anything else can fail: the one we had is used up.
        """
        metadata = await self.provider.metadata()
        # Without a scope: it stays as it was granted, which may be less than we asked for.
        async with self._client(scope=None) as client:
            answer = await _answered(client.refresh_token(metadata.token_endpoint, refresh_token=refresh_token))
        await keep(_refresh_token(answer))
        grant = await self._grant(answer, now)
        require(grant.claims["sub"] == subject, "sub", grant.claims["sub"])
        return grant

    async def _grant(self, answer: Mapping[str, Any], now: datetime) -> Grant:
        claims = await self.provider.identity(answer.get("id_token"), self.client_id, now)
        return Grant(claims, answer["id_token"], _refresh_token(answer))

    def _client(self, scope: str | None = SCOPES) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self.client_id,
            self._client_secret,
            scope=scope,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            **http_options(self.provider.issuer),
        )


def client_secret(settings: Settings) -> str | None:
    """Ours at the provider: of the demo's we know where it lies. None for a public client."""
    demo = f"http://127.0.0.1:{settings.port_of('provider')}"
    if settings.oidc_client_secret is None and settings.oidc_issuer == demo:
        return keys.secret(settings.home, "oidc-client-secret")
    return settings.oidc_client_secret


def _refresh_token(answer: Mapping[str, Any]) -> str:
    token = answer.get("refresh_token")
    if not isinstance(token, str):
        raise IdentityRefused("The provider sent no refresh token: allow our client the scope offline_access.")
    return token


async def _answered(request: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The token endpoint's answer: a refusal of this person, or anything else that is not an answer about them."""
    try:
        return await request
    except OAuthError as error:
        ours = ProviderUnreachable if error.error in OUTAGES else ProviderRefusesUs
        kind = IdentityRefused if error.error in REFUSALS else ours
        raise kind(f"The provider answered {shown(error.error)}.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise ProviderUnreachable(f"The token endpoint gave no answer: {shown(error)}.") from None
