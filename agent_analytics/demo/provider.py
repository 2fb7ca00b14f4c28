"""The demo's identity provider: OpenID Connect with a picker of invented people in place of a password."""

import base64
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from agent_analytics import keys
from agent_analytics.demo.forms import credentials, form_of
from agent_analytics.demo.grants import Grants
from agent_analytics.demo.people import PERSONAS, Persona
from agent_analytics.demo.picker import page, style
from agent_analytics.settings import Settings

SECONDS_OF_A_CODE = 60
SECONDS_OF_A_TOKEN = 300
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass
class Code:
    """A code that waits to be exchanged, and to what that is bound; afterwards `family` names what it gave."""

    persona: str
    challenge: str
    nonce: str | None
    expires: float
    family: str | None = None


class Provider:
    """The provider. `people` are its accounts by key, read anew for each token; `clock` gives seconds since 1970."""

    def __init__(
        self, settings: Settings, people: Mapping[str, Persona], clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self.people = people
        self.clock = clock
        self.issuer = settings.oidc_issuer or f"http://127.0.0.1:{settings.port_of('provider')}"
        self.callback = f"{settings.origin}/hub/oauth_callback"
        self.signed_out = f"{settings.origin}/hub/logout"
        self.keys = [RSAKey.import_key(json.loads(keys.secret(settings.home, "provider-key", _new_key)))]
        self.grants = Grants(settings.home / "provider" / "grants.sqlite", clock())
        self.codes: dict[str, Code] = {}

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/jwks", self.jwks),
                Route("/authorize", self.picker),
                Route("/authorize", self.picked, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
                Route("/introspect", self.introspect, methods=["POST"]),
                Route("/revoke", self.revoke, methods=["POST"]),
                Route("/end_session", self.end_session),
                Route("/picker.css", self.style),
            ]
        )

    async def discovery(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "end_session_endpoint": f"{self.issuer}/end_session",
                "introspection_endpoint": f"{self.issuer}/introspect",
                "revocation_endpoint": f"{self.issuer}/revoke",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def jwks(self, request: Request) -> Response:
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.keys]})

    async def picker(self, request: Request) -> Response:
        """The page with a button for each persona, which posts to its own address."""
        wrong = self._wrong_with(request)
        if wrong:
            return wrong
        return HTMLResponse(page(self.people.values()), headers=HEADERS)

    async def picked(self, request: Request) -> Response:
        """Back to the client with a code for the persona whose button was pressed."""
        wrong = self._wrong_with(request)
        if wrong:
            return wrong
        chosen = (await form_of(request)).get("persona", "")
        if chosen not in self.people:
            return HTMLResponse("<h1>Nobody of that name</h1>", 400, HEADERS)
        query = request.query_params
        code = secrets.token_urlsafe(32)
        self.codes = {name: each for name, each in self.codes.items() if each.expires >= self.clock()}
        expires = self.clock() + SECONDS_OF_A_CODE
        self.codes[code] = Code(chosen, query["code_challenge"], query.get("nonce"), expires)
        return self._back(query.get("state"), code=code)

    def _wrong_with(self, request: Request) -> Response | None:
        """What is wrong with an authorization request; of a client we do not know, nothing goes to its address."""
        query = request.query_params
        if (query.get("client_id"), query.get("redirect_uri")) != (self.settings.oidc_client_id, self.callback):
            return HTMLResponse("<h1>Unknown client or redirect_uri</h1>", 400, HEADERS)
        if query.get("response_type") != "code":
            return self._back(query.get("state"), error="unsupported_response_type")
        if "openid" not in query.get("scope", "").split():
            return self._back(query.get("state"), error="invalid_scope")
        if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
            return self._back(query.get("state"), error="invalid_request")
        return None

    def _back(self, state: str | None, **answer: str) -> Response:
        query = {**answer, "iss": self.issuer, **({} if state is None else {"state": state})}
        return RedirectResponse(f"{self.callback}?{urlencode(query)}", 303, HEADERS)

    async def token(self, request: Request) -> Response:
        """Exchange a code, or a refresh token, for new tokens."""
        form = await form_of(request)
        if not self._is_our_client(request.headers.get("authorization", ""), form):
            return _no("invalid_client", 401)
        exchanges = {"authorization_code": self._exchange_code, "refresh_token": self._exchange_refresh_token}
        exchange = exchanges.get(form.get("grant_type", ""))
        if exchange is None:
            return _no("unsupported_grant_type")
        return exchange(form)

    def _is_our_client(self, authorization: str, form: Mapping[str, str]) -> bool:
        name, password = credentials(authorization, form)
        secret = self.settings.oidc_client_secret or keys.secret(self.settings.home, "oidc-client-secret")
        same = secrets.compare_digest(password.encode(), secret.encode())
        return same and name == self.settings.oidc_client_id

    def _exchange_code(self, form: Mapping[str, str]) -> Response:
        """A code used twice was stolen: what its first use gave ends too."""
        code = self.codes.get(form.get("code", ""))
        if code is None or code.expires < self.clock():
            return _no("invalid_grant")
        if code.family is not None:
            self.grants.end(code.family)
            return _no("invalid_grant")
        code.family = self.grants.begin(code.persona, self.clock())
        proven = secrets.compare_digest(_challenge(form.get("code_verifier", "")), code.challenge)
        if not proven or form.get("redirect_uri") != self.callback:
            self.grants.end(code.family)
            return _no("invalid_grant")
        return self._tokens(code.family, code.nonce)

    def _exchange_refresh_token(self, form: Mapping[str, str]) -> Response:
        family = self.grants.use(form.get("refresh_token", ""))
        return _no("invalid_grant") if family is None else self._tokens(family)

    def _tokens(self, family: str, nonce: str | None = None) -> Response:
        """New tokens with the person's claims of this moment; none for someone who is no longer here."""
        persona = self.people.get(self.grants.persona(family) or "")
        if persona is None:
            self.grants.end(family)
            return _no("invalid_grant")
        answer = {
            "access_token": self.sign(self.access_claims(persona, family), "at+jwt"),
            "id_token": self.sign(self.identity_claims(persona, family, nonce), "JWT"),
            "refresh_token": self.grants.refresh_token(family),
            "token_type": "Bearer",
            "expires_in": SECONDS_OF_A_TOKEN,
        }
        return JSONResponse(answer, headers=HEADERS)

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        header = {"alg": "RS256", "kid": self.keys[-1].kid, "typ": typ}
        return jwt.encode(header, dict(claims), self.keys[-1], algorithms=["RS256"])

    def identity_claims(self, persona: Persona, family: str, nonce: str | None) -> dict[str, Any]:
        bound = {"aud": self.settings.oidc_client_id, "azp": self.settings.oidc_client_id, "sid": family}
        return self._claims(persona) | bound | ({} if nonce is None else {"nonce": nonce})

    def access_claims(self, persona: Persona, family: str) -> dict[str, Any]:
        bound = {"aud": self.settings.api_audience, "client_id": self.settings.oidc_client_id}
        return self._claims(persona) | bound | {"sid": family, "jti": secrets.token_hex(16)}

    def _claims(self, persona: Persona) -> dict[str, Any]:
        """Who the person is, under the claims' names of the settings."""
        now = int(self.clock())
        names = self.settings
        claims: dict[str, Any] = {names.claim_user: persona.sub, names.claim_role: persona.role}
        if persona.organization is not None:
            claims |= {names.claim_organization: persona.organization, names.claim_teams: list(persona.teams)}
        claims |= {"name": persona.name, "email": persona.email, "email_verified": True, "sub": persona.sub}
        return claims | {"iss": self.issuer, "iat": now, "exp": now + SECONDS_OF_A_TOKEN}

    async def introspect(self, request: Request) -> Response:
        """Whether an access token is good (RFC 7662), and the person's claims of now; of other tokens nothing."""
        form = await form_of(request)
        if not self._is_our_client(request.headers.get("authorization", ""), form):
            return _no("invalid_client", 401)
        claims = self._access_token(form.get("token", ""))
        persona = self.people.get(self.grants.persona(str(claims.get("sid"))) or "")
        if persona is None or claims["exp"] <= self.clock():
            return JSONResponse({"active": False}, headers=HEADERS)
        now = self.access_claims(persona, claims["sid"])
        issued = {name: claims[name] for name in ("iat", "exp", "jti")}
        return JSONResponse(now | issued | {"active": True, "token_type": "Bearer"}, headers=HEADERS)

    async def revoke(self, request: Request) -> Response:
        """End the sign-in that a token came from (RFC 7009); a token that we do not know needs no end."""
        form = await form_of(request)
        if not self._is_our_client(request.headers.get("authorization", ""), form):
            return _no("invalid_client", 401)
        token = form.get("token", "")
        self.grants.end(self.grants.family(token) or str(self._access_token(token).get("sid")))
        return Response(headers=HEADERS)

    def _access_token(self, token: str) -> dict[str, Any]:
        """The claims of an access token of ours; none of anything else."""
        try:
            found = jwt.decode(token, self.keys[-1], algorithms=["RS256"])
        except (JoseError, ValueError):
            return {}
        return found.claims if found.header.get("typ") == "at+jwt" else {}

    async def end_session(self, request: Request) -> Response:
        """End the sign-in that the ID token tells of, however old the token is."""
        query = request.query_params
        try:
            self.grants.end(self._session(query.get("id_token_hint", "")))
        except (JoseError, ValueError):
            return HTMLResponse("<h1>Nobody is signed in</h1>", 400, HEADERS)
        if query.get("post_logout_redirect_uri") == self.signed_out:
            return RedirectResponse(self.signed_out, 303, HEADERS)
        return HTMLResponse("<h1>You are signed out</h1>", headers=HEADERS)

    def _session(self, id_token: str) -> str:
        return str(jwt.decode(id_token, self.keys[-1], algorithms=["RS256"]).claims.get("sid"))

    async def style(self, request: Request) -> Response:
        headers = HEADERS | {"Cache-Control": "max-age=3600"}
        return Response(style(), media_type="text/css", headers=headers)


def _new_key() -> str:
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    return json.dumps(key.as_dict(private=True))


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _no(error: str, status: int = 400) -> Response:
    return JSONResponse({"error": error}, status, HEADERS)


def main(settings: Settings) -> None:
    """Serve the provider on its port, until told to stop."""
    os.umask(0o077)
    provider = Provider(settings, {persona.key: persona for persona in PERSONAS})
    uvicorn.run(
        provider.application(),
        host="127.0.0.1",
        port=settings.port_of("provider"),
        log_level="warning",
        access_log=False,
        server_header=False,
    )
