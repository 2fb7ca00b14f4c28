"""Who opens a page: the hub says so, by OAuth at first and again while the page is open."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyterhub.singleuser.extension import (
    JupyterHubIdentityProvider,
    JupyterHubLogoutHandler,
    JupyterHubOAuthCallbackHandler,
)
from tornado.log import app_log
from tornado.web import HTTPError
from traitlets.config import Config

from agent_analytics import keys
from agent_analytics.errors import UsageError
from agent_analytics.scope import Principal
from agent_analytics.serving import rhythm
from agent_analytics.serving.kernels import Owner
from agent_analytics.serving.replies import PREFIX, Reply
from agent_analytics.settings import Settings

SERVICE = "dashboards"


class HubIdentity(JupyterHubIdentityProvider):
    """Who asks, as the hub knows them."""

    def __init__(self, **options: Any) -> None:
        # Voilà passes an empty token; here a token is the hub's to give.
        options.pop("token", None)
        super().__init__(**options)

    def get_handlers(self) -> list[tuple[Any, ...]]:
        return [
            (f"{PREFIX}oauth_callback", SignedIn, {"hub_auth": self.hub_auth}),
            (f"{PREFIX}logout", SignOut),
        ]

    def owner_of(self, handler: JupyterHandler) -> Owner | None:
        """The person of this request; None without claims that make a principal."""
        return _owner(handler.current_user.hub_user, self.hub_auth.get_token(handler))

    async def still(self, owner: Owner, now: datetime) -> Owner | None:
        """The same person as the hub knows them now; None if it says anything else of them than when they came.

        A hub that does not answer leaves everybody what they have, for as long as that was good anyway.
        """
        try:
            async with asyncio.timeout(rhythm.SWEEP_PATIENCE):
                found = await self.hub_auth.user_for_token(owner.session, use_cache=False, sync=False)
        except (HTTPError, TimeoutError) as error:
            app_log.warning("The hub could not be asked about %s: %s", owner.name, error)
            return owner if now < owner.valid_until else None
        again = None if found is None else _owner(found, owner.session)
        return again if again == owner else None


def _owner(hub_user: dict[str, Any], session: str) -> Owner | None:
    info = hub_user.get("user_info") or {}
    try:
        principal = Principal.from_json(info["agent_analytics"])
        times = [datetime.fromtimestamp(info[name], UTC) for name in ("verified_at", "valid_until")]
    except (KeyError, TypeError, AttributeError, UsageError):
        return None
    return Owner(hub_user["name"], principal, session, *times)


class SignedIn(Reply, JupyterHubOAuthCallbackHandler):
    """Where the hub sends the browser after sign-in."""


class SignOut(Reply, JupyterHubLogoutHandler):
    """Out of here, then out of the hub."""


def configure(c: Config, settings: Settings) -> None:
    """What the hub's client would else read from the environment."""
    c.HubOAuth.api_token = keys.secret(settings.home, f"service-{SERVICE}")
    c.HubOAuth.api_url = f"http://127.0.0.1:{settings.port_of('hub')}/hub/api"
    c.HubOAuth.base_url, c.HubOAuth.hub_prefix = PREFIX, "/hub/"
    c.HubOAuth.oauth_client_id = f"service-{SERVICE}"
    c.HubOAuth.oauth_redirect_uri = f"{settings.origin}{PREFIX}oauth_callback"
    c.HubOAuth.cookie_host_prefix_enabled = settings.is_https
    c.HubOAuth.access_scopes = {f"access:services!service={SERVICE}"}
    c.HubOAuth.cache_max_age = rhythm.REMEMBER
    c.HubOAuth.cookie_options = cookies(settings)


def cookies(settings: Settings) -> dict[str, Any]:
    """How a browser shall keep all our cookies."""
    return {"samesite": "Lax", "secure": settings.is_https}
