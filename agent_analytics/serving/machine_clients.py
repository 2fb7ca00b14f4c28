"""Access tokens of the identity provider, as machine clients send them to the API: verified, and asked about."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client

from agent_analytics.errors import Forbidden
from agent_analytics.scope import Principal
from agent_analytics.serving import rhythm
from agent_analytics.serving.claims import principal
from agent_analytics.serving.code_flow import client_secret
from agent_analytics.serving.oidc import (
    Claims,
    IdentityRefused,
    Metadata,
    Provider,
    ProviderRefusesUs,
    ProviderUnreachable,
    http_options,
    require,
    shown,
)
from agent_analytics.serving.tokens import Vouched, unverified_header
from agent_analytics.settings import Settings

LONGEST = 16_384
MOST_REMEMBERED = 1000
MOST_AT_ONCE = 8
LATEST = 2**33
log = logging.getLogger(__name__)


class TooLong(IdentityRefused):
    """A token whose life is longer than one may be that nobody can be asked about."""


@dataclass(frozen=True)
class Known:
    """What came of a token: somebody until `expires`, or nobody; and when that was asked."""

    asked: datetime
    vouched: Vouched | None
    expires: datetime
    why: Forbidden | None = None

    def told(self) -> Vouched:
        """Raises what was found wrong."""
        if self.vouched is None:
            raise self.why or Forbidden("The token is not valid.")
        return self.vouched


class MachineClients:
    """Whom access tokens speak for: RFC 9068's (`at+jwt`), and opaque ones, both introspected (RFC 7662).

    A provider without introspection gets its tokens taken only if they live for SHORT seconds at most.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._provider = Provider(settings.oidc_issuer) if settings.oidc_issuer else None
        self._known: dict[str, Known] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    async def vouched(self, token: str, now: datetime) -> Vouched:
        """Whom a token speaks for. Raises Forbidden, or ProviderUnreachable where the provider has to say that."""
        if self._provider is None or not 0 < len(token) <= LONGEST:
            raise Forbidden("The token is not valid.")
        digest = hashlib.sha256(token.encode()).hexdigest()
        async with self._locks.setdefault(digest, asyncio.Lock()):
            known = self._known.get(digest)
            if known is None or abs(now - known.asked) >= timedelta(seconds=rhythm.BEARER) or known.expires <= now:
                known = await self._ask_again(self._provider, token, now, known)
                self._remember(digest, known)
        return known.told()

    def _remember(self, digest: str, known: Known) -> None:
        self._known.pop(digest, None)
        self._known[digest] = known
        while len(self._known) > MOST_REMEMBERED:
            self._known.pop(next(iter(self._known)))

    async def _ask_again(self, provider: Provider, token: str, now: datetime, before: Known | None) -> Known:
        """A provider out of reach leaves what it said before, for the grace that everybody has."""
        try:
            async with asyncio.timeout(rhythm.CHECK_PATIENCE), self._places:
                return await self._ask(provider, token, now)
        except (ProviderUnreachable, TimeoutError) as error:
            if before and before.vouched and not isinstance(error, ProviderRefusesUs):
                until = before.vouched.verified_at + timedelta(minutes=self._settings.grace_minutes)
                if now < min(before.expires, until):
                    log.warning("A bearer of a token could not be checked. %s", error)
                    return Known(now, before.vouched, min(before.expires, until))
            raise ProviderUnreachable(f"A token could not be checked. {error}") from None
        except IdentityRefused as error:
            log.warning("A bearer's token was refused. %s", error)
            why = error if isinstance(error, TooLong) else Forbidden("The token is not valid.")
            return Known(now, None, datetime.fromtimestamp(LATEST, UTC), why)

    async def _ask(self, provider: Provider, token: str, now: datetime) -> Known:
        metadata, audience = await provider.metadata(), self._settings.api_audience
        is_signed = unverified_header(token) is not None
        signed = await provider.access(token, audience, now) if is_signed else {}
        require("cnf" not in signed, "cnf", signed.get("cnf"))
        said = await self._introspected(metadata, token)
        if said is None and not _is_short(signed, now):
            raise TooLong(
                f"The identity provider cannot be asked about tokens, so one may live for {rhythm.SHORT} seconds "
                "at most, and this one lives longer or is opaque."
            )
        if said is not None:
            _require_active(said, signed, metadata.issuer, audience)
        expires = _expires(said or {}, signed, now)
        return Known(now, Vouched(self._principal(said or {}, signed, now), now), expires)

    def _principal(self, said: Claims, signed: Claims, now: datetime) -> Principal:
        """By what the provider says now; what the token says counts only as long as it is new."""
        if _is_short(signed, now):
            with suppress(IdentityRefused):
                return principal(said, self._settings)
            return principal(signed, self._settings)
        return principal(said, self._settings)

    async def _introspected(self, metadata: Metadata, token: str) -> Claims | None:
        """What the provider says of a token; None where it cannot be asked."""
        secret = client_secret(self._settings)
        if metadata.introspection_endpoint is None or secret is None:
            return None
        return await _introspect(metadata, self._settings.oidc_client_id, secret, token)


def _require_active(said: Claims, signed: Claims, issuer: str, audience: str) -> None:
    """That a token is an access token for us, good now, and nobody's who would have to prove to hold a key."""
    bound = signed | said
    audiences: Any = bound.get("aud")
    audiences = audiences if isinstance(audiences, list) else [audiences]
    kinds = [str(said.get(name, "Bearer")).lower() for name in ("token_type", "typ")]
    checks = {
        "active": said.get("active") is True,
        "aud": audience in audiences,
        "iss": bound.get("iss", issuer) == issuer,
        "sub": isinstance(bound.get("sub"), str) and signed.get("sub", bound["sub"]) == bound["sub"],
        "token_type": kinds[0] == "bearer",
        "typ": kinds[1] in ("bearer", "at+jwt"),
        "cnf": "cnf" not in bound,
    }
    for name, holds in checks.items():
        require(holds, name, bound.get(name))


def _expires(said: Claims, signed: Claims, now: datetime) -> datetime:
    """When a token is no longer good, by both, if they say so."""
    named = [claims["exp"] for claims in (said, signed) if "exp" in claims]
    for each in named:
        require(type(each) in (int, float) and now.timestamp() < each < LATEST, "exp", each)
    return datetime.fromtimestamp(min(named, default=LATEST), UTC)


def _is_short(claims: Mapping[str, Any], now: datetime) -> bool:
    """Whether all of a token's life fits in SHORT seconds, and it is now, by our clock and without leeway."""
    if not claims:
        return False
    return claims["exp"] - claims["iat"] <= rhythm.SHORT and claims["iat"] <= now.timestamp() < claims["exp"]


async def _introspect(metadata: Metadata, client_id: str, secret: str, token: str) -> Claims | None:
    """None where the provider cannot tell of tokens of this kind: some tell of opaque ones alone."""
    try:
        async with AsyncOAuth2Client(client_id, secret, **http_options(metadata.issuer)) as client:
            answer = await client.introspect_token(metadata.introspection_endpoint, token=token)
            said = answer.json()
            if answer.status_code == 400 and said.get("error") == "unsupported_token_type":
                return None
            if answer.status_code in (400, 401, 403):
                raise ProviderRefusesUs(f"The introspection endpoint answered {answer.status_code}.")
            answer.raise_for_status()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, AttributeError) as error:
        raise ProviderUnreachable(f"The introspection endpoint gave no answer: {shown(error)}.") from None
    if not isinstance(said, dict):
        raise ProviderUnreachable("The introspection endpoint gave no JSON object.")
    return said
