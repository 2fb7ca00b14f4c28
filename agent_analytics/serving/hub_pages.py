"""The hub's pages for signing in and out, and how a person's sessions end.

All of the hub's pages are in our frame, and none runs a script.
"""

import json
import secrets
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from jupyterhub.handlers import BaseHandler, LogoutHandler
from jupyterhub.orm import APIToken, new_token
from jupyterhub.user import User
from tornado import web
from traitlets.config import Config

from agent_analytics.serving.code_flow import Attempt
from agent_analytics.serving.oidc import IdentityRefused, ProviderUnreachable
from agent_analytics.settings import Settings
from agent_analytics.widgets import assets

SIGN_IN, CALLBACK, SIGN_OUT = "/oauth_login", "/oauth_callback", "/logout"
DAYS_TO_SIGN_IN = 10 / 24 / 60
OF_NO_USE = ("/token", "/admin", "/accept-share", "/signup")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-JupyterHub-Version": "",
}


def configure(c: Config, settings: Settings) -> None:
    """Our frame and headers around every page of the hub."""
    files = {name: f"/services/dashboards/static/{hashed}" for name, hashed in assets.manifest().items()}
    c.JupyterHub.template_paths = [str(assets.FRONTEND / "templates" / "hub")]
    c.JupyterHub.template_vars = {"our_files": files}
    # No `domain`: the hub's cookies are for its own host, not for those of people's servers below it.
    cookies = {"cookie_options": {"samesite": "Lax"}, "domain": ""}
    safe = {"Strict-Transport-Security": "max-age=31536000"} if settings.is_https else {}
    c.JupyterHub.tornado_settings = cookies | {"headers": HEADERS | safe}


async def end_sessions(user: User) -> None:
    """No cookie, token or refresh token of this person is good any more, in any browser."""
    user.orm_user.cookie_id = new_token()
    for each in (*user.orm_user.api_tokens, *user.orm_user.oauth_codes):
        user.db.delete(each)
    await user.save_auth_state(None)


class _Page(BaseHandler):
    """What our pages share: failures are told with a reference to the log, and nothing more."""

    def refuse(self, error: IdentityRefused) -> NoReturn:
        reference = self._logged("Sign-in refused", error)
        raise web.HTTPError(
            403,
            "You could not be signed in. If you should have access, ask your administrator, "
            f"and give them the reference {reference}.",
        )

    def unavailable(self, error: ProviderUnreachable) -> NoReturn:
        reference = self._logged("Sign-in impossible", error)
        raise web.HTTPError(
            503, f"The identity provider cannot be reached. Try again in a moment. Reference: {reference}."
        )

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Tornado would log the whole address, and with it the code."""
        if not isinstance(value, web.HTTPError):
            self.log.error("%s failed", self.request.path, exc_info=(typ, value, tb))

    def _logged(self, what: str, error: Exception) -> str:
        reference = secrets.token_hex(4)
        self.log.warning("%s [%s]. %s", what, reference, error)
        return reference


class SignIn(_Page):
    """Sends the browser to the provider, and leaves it a signed cookie for the way back."""

    async def get(self) -> None:
        try:
            url, attempt = await self.authenticator.flow.start()
        except ProviderUnreachable as error:
            self.unavailable(error)
        self.set_secure_cookie(
            _cookie_name(attempt.state),
            json.dumps([attempt.nonce, attempt.verifier, self._destination()]),
            expires_days=DAYS_TO_SIGN_IN,
            httponly=True,
            samesite="Lax",
            secure=self.authenticator.settings.is_https,
            path=_callback_path(self),
        )
        self.redirect(url)

    def _destination(self) -> str:
        """Where to go afterwards: a place of ours, and none that would sign out at once or make a huge cookie."""
        url = self._validate_next_url(self.get_argument("next", ""))
        path = urlsplit(url).path
        ours = self.hub.base_url.rstrip("/")
        return "" if len(url) > 1500 or path in (ours + SIGN_IN, ours + CALLBACK, ours + SIGN_OUT) else url


class Callback(_Page):
    """Where the provider sends the browser back."""

    async def get(self) -> None:
        self.set_header("Referrer-Policy", "no-referrer")
        attempt, destination = self._attempt()
        try:
            user = await self.login_user(
                {"attempt": attempt, "code": self._code(), "issuer": self.get_argument("iss", None)}
            )
            if user is None:
                raise IdentityRefused("The hub does not take this person.")
        except IdentityRefused as error:
            self.refuse(error)
        except ProviderUnreachable as error:
            self.unavailable(error)
        self._leave_others(user)
        self.redirect(destination or self.get_next_url(user))

    def _attempt(self) -> tuple[Attempt, str]:
        """The sign-in that this browser began not long ago: the signature binds the cookie to its name, the state."""
        state = self.get_argument("state", "")
        name = _cookie_name(state) if state.isalnum() and state.isascii() else ""
        cookie = name and self.get_secure_cookie(name, max_age_days=DAYS_TO_SIGN_IN)
        if not cookie:
            raise web.HTTPError(400, "This sign-in has expired, or was begun in another browser. Please sign in again.")
        self.clear_cookie(name, path=_callback_path(self))
        nonce, verifier, destination = json.loads(cookie)
        return Attempt(state, nonce, verifier), destination

    def _code(self) -> str:
        error, code = self.get_argument("error", None), self.get_argument("code", "")
        if error or not code:
            self.refuse(IdentityRefused(f"The provider sent the error {(error or '')[:40]!r} and no code."))
        return code

    def _leave_others(self, user: User) -> None:
        """Whoever was signed in before in this browser is so no longer, at the services too."""
        session = self.get_session_cookie()
        for token in self.db.query(APIToken).filter_by(session_id=session):
            if session and token.user_id != user.id:
                self.db.delete(token)
        self.db.commit()

    def append_query_parameters(self, url: str, exclude: Any = None) -> str:
        """The code and the state end here."""
        return url


class NotHere(_Page):
    """Pages of the hub that nobody here has a use for."""

    def get(self, *_: str) -> None:
        raise web.HTTPError(404)

    post = get


class SignOut(LogoutHandler):
    """Ends every session of the person, here and at the provider, so that a stolen cookie is good for nothing."""

    async def get(self) -> None:
        user = self.current_user
        if not isinstance(user, User):
            self.finish(await self.render_template("logout.html"))
            return
        if self.request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            self.finish(await self.render_template("sign_out.html", sign_out=self.request.path))
            return
        state = await user.get_auth_state() or {}
        await self.default_handle_logout()
        await end_sessions(user)
        self._jupyterhub_user = None
        self.redirect(await self._provider_url(state.get("id_token")))

    async def _provider_url(self, id_token: str | None) -> str:
        """The provider's own sign-out, which comes back here; or straight here where it has none."""
        back = self.authenticator.settings.origin + self.request.path
        try:
            metadata = await self.authenticator.flow.provider.metadata()
        except ProviderUnreachable:
            return back
        if metadata.end_session_endpoint is None:
            return back
        query = {"client_id": self.authenticator.flow.client_id, "post_logout_redirect_uri": back}
        hint = {"id_token_hint": id_token} if id_token else {}
        return f"{metadata.end_session_endpoint}?{urlencode(query | hint)}"


def _cookie_name(state: str) -> str:
    """One for each sign-in, so that several tabs can sign in at once."""
    return f"sign-in-{state}"


def _callback_path(handler: BaseHandler) -> str:
    return handler.hub.base_url.rstrip("/") + CALLBACK
