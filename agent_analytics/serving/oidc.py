"""An OpenID provider as its client sees it: what it publishes, and whether a token is its own."""

import asyncio
import json
import reprlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, RSAKey

from agent_analytics.errors import Forbidden, ServiceError

ALGORITHMS = ("RS256", "ES256")
LEEWAY = 30
SECONDS_BETWEEN_FETCHES = 10
SECONDS_OF_TRUST_IN_KEYS = 600
TIMEOUT = 5
LONGEST_SHOWN = 150
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = LONGEST_SHOWN
_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)

_PRIMES = [number for number in range(3, 168) if all(number % below for below in range(2, number))]

Claims = dict[str, Any]


class ProviderUnreachable(ServiceError):
    """The identity provider gave no usable answer: nothing is known about the person, good or bad."""


class ProviderRefusesUs(ProviderUnreachable):
    """The identity provider answers, but not to our client: nobody can be checked, and there is no reason to wait."""


class IdentityRefused(Forbidden):
    """The provider says no to this person, or what was sent in its name is not sound."""


@dataclass(frozen=True)
class Metadata:
    """What the provider's discovery document says; `sends_issuer`: its redirects name it (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    introspection_endpoint: str | None
    sends_issuer: bool


class Provider:
    """One provider, asked no sooner than it is needed: it may be down when we start."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._metadata: Metadata | None = None
        self._keys: dict[tuple[str, str], Key] = {}
        self._fetched: datetime | None = None
        self._fetching = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """The discovery document, read once. Raises ProviderUnreachable."""
        if self._metadata is None:
            document = await self._get(f"{self.issuer}/.well-known/openid-configuration")
            self._metadata = _read_metadata(self.issuer, document)
        return self._metadata

    async def identity(self, token: object, client_id: str, now: datetime) -> Claims:
        """The claims of an ID token made for us. Raises IdentityRefused or ProviderUnreachable.

        The caller compares the nonce.
        """
        header, claims = await self._verified(token, client_id, now)
        require(str(header.get("typ", "JWT")).upper() == "JWT", "typ", header.get("typ"))
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        require(claims.get("azp", None if several else client_id) == client_id, "azp", claims.get("azp"))
        return claims

    async def access(self, token: object, audience: str, now: datetime) -> Claims:
        """The claims of an access token (RFC 9068) made for `audience`. Raises as `identity`."""
        header, claims = await self._verified(token, audience, now)
        typ = str(header.get("typ")).lower().removeprefix("application/")
        require(typ == "at+jwt", "typ", header.get("typ"))
        return claims

    async def _verified(self, token: object, audience: str, now: datetime) -> tuple[Mapping[str, Any], Claims]:
        """Header and claims, once signature, iss, aud, sub, exp, iat and nbf hold."""
        metadata = await self.metadata()
        header, payload = await self.opened(token, now)
        try:
            claims = json.loads(payload)
            _registry(metadata.issuer, audience, now).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise IdentityRefused(f"The token does not hold: {shown(error)}.") from None
        return header, claims

    async def opened(self, token: object, now: datetime) -> tuple[Mapping[str, Any], bytes]:
        """Header and payload of what one of the provider's published keys signed. Raises as `identity`."""
        if not isinstance(token, str):
            raise IdentityRefused("The token is missing.")
        try:
            header = jws.extract_compact(token.encode(), registry=_REGISTRY).headers()
            key = await self._key(header, now)
            found = jws.deserialize_compact(token, key, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise IdentityRefused(f"The token does not hold: {shown(error)}.") from None
        return header, found.payload

    async def _key(self, header: Mapping[str, Any], now: datetime) -> Key:
        """The published key that the header names; never one that the token itself brings (jku, jwk, x5u, x5c)."""
        kid, algorithm = header.get("kid"), header.get("alg")
        require(algorithm in ALGORITHMS, "alg", algorithm)
        require(isinstance(kid, str), "kid", kid)
        require("crit" not in header, "crit", header.get("crit"))
        name = (str(kid), str(algorithm))
        if name not in self._keys or self._age(now) >= SECONDS_OF_TRUST_IN_KEYS:
            fresh = await self._fetch_keys(now)
            if name not in self._keys and not fresh:
                raise ProviderUnreachable(f"The key {shown(kid)} is unknown, and the keys were read a moment ago.")
        require(name in self._keys, "kid", kid)
        return self._keys[name]

    async def _fetch_keys(self, now: datetime) -> bool:
        """Read the keys anew, as one we do not know may be new; False if they were read a moment ago.

        A flood of made-up names must not become a flood of our requests.
        """
        async with self._fetching:
            if 0 < self._age(now) < SECONDS_BETWEEN_FETCHES:
                return False
            if self._fetched != now:
                document = await self._get((await self.metadata()).jwks_uri)
                self._keys, self._fetched = _read_keys(document), now
            return True

    def _age(self, now: datetime) -> float:
        """Seconds since the keys were read; a clock set back makes them old, not new."""
        return float("inf") if self._fetched is None else abs((now - self._fetched).total_seconds())

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            async with httpx2.AsyncClient(**http_options(self.issuer)) as client:
                document = (await client.get(url)).raise_for_status().json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise ProviderUnreachable(f"{url}: {shown(error)}.") from None
        if not isinstance(document, dict):
            raise ProviderUnreachable(f"{url}: not a JSON object.")
        return document


def http_options(issuer: str) -> dict[str, Any]:
    """How we speak to a provider: not for long, and to one on this machine by no proxy of the environment's."""
    here = urlsplit(issuer).hostname in ("127.0.0.1", "localhost", "::1")
    return {"timeout": TIMEOUT, "verify": _certificates(), "trust_env": not here}


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes a twentieth of a second."""
    return httpx2.create_ssl_context()


def _read_metadata(issuer: str, document: Mapping[str, Any]) -> Metadata:
    """Some providers' names end in a slash, which settings have lost: from here on theirs is the exact one."""
    named = document.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer:
        raise ProviderUnreachable(f"{issuer} calls itself {shown(named)}: set the issuer that it names.")
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    endpoints = {name: document.get(name) for name in (*needed, "end_session_endpoint", "introspection_endpoint")}
    secure = ("https://",) if issuer.startswith("https://") else ("https://", "http://")
    for name, url in endpoints.items():
        if not (isinstance(url, str) and url.startswith(secure)) and (name in needed or url is not None):
            raise ProviderUnreachable(f"{issuer}: {name} is {shown(url)}, not a URL to use.")
    sends_issuer = document.get("authorization_response_iss_parameter_supported") is True
    return Metadata(issuer=named, sends_issuer=sends_issuer, **endpoints)  # type: ignore[arg-type]


def _read_keys(document: Mapping[str, Any]) -> dict[tuple[str, str], Key]:
    """The published keys that we may use, by name and algorithm; the others are none of our concern."""
    published = document.get("keys")
    keys = {}
    for each in published if isinstance(published, list) else []:
        try:
            key = JWKRegistry.import_key(each)
            algorithm = _algorithm(key)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if isinstance(key.kid, str) and algorithm:
            keys[key.kid, algorithm] = key
    return keys


def _algorithm(key: Key) -> str | None:
    """The one algorithm for which we use a key, if any."""
    fits = {
        "RS256": isinstance(key, RSAKey) and _is_strong(key),
        "ES256": isinstance(key, ECKey) and key.curve_name == "P-256",
    }
    return next((name for name in ALGORITHMS if fits[name] and key.get("alg", name) == name), None)


def _is_strong(key: RSAKey) -> bool:
    """Of 2048 bits or more, and not one that cards with a faulty generator made, which can be factored (ROCA).

    Theirs are powers of 65537 modulo each small prime; a sound modulus is so for all of these once in 100 million.
    """
    modulus = key.public_key.public_numbers().n
    return modulus.bit_length() >= 2048 and not all(
        modulus % prime in {pow(65537, power, prime) for power in range(prime)} for prime in _PRIMES
    )


def _registry(issuer: str, audience: str, now: datetime) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )


def require(holds: bool, name: str, value: object) -> None:
    """Raises IdentityRefused."""
    if not holds:
        raise IdentityRefused(f"{name} {shown(value)} is not what it must be.")


def shown(value: object) -> str:
    """A value or an error, fit for a line of a log: short and escaped. The libraries' errors hold no token."""
    named = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else value
    text = _SHORT.repr(named)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
