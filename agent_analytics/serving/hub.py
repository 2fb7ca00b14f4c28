"""JupyterHub: sign-in at the identity provider, who is signed in, and JupyterLab for leads and admins."""

import asyncio
import hashlib
import json
import logging
import os
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from jupyterhub.user import User
from tornado.ioloop import PeriodicCallback
from tornado.log import app_log
from traitlets import Any as AnyTrait
from traitlets.config import Config

from agent_analytics import keys
from agent_analytics.errors import SettingError
from agent_analytics.serving import home, hub_pages, hub_servers, rhythm
from agent_analytics.serving.claims import principal
from agent_analytics.serving.code_flow import Attempt, CodeFlow, Grant, client_secret
from agent_analytics.serving.hub_pages import CALLBACK, SIGN_IN, SIGN_OUT, Callback, SignIn, SignOut, end_sessions
from agent_analytics.serving.oidc import IdentityRefused, Provider, ProviderRefusesUs, ProviderUnreachable
from agent_analytics.settings import Settings

SERVICES = ("dashboards", "api")
SECONDS_BETWEEN_CHECKS = rhythm.CHECK_EVERY
SECONDS_BETWEEN_ROUTE_CHECKS = 5
AuthModel = dict[str, Any]


class PlatformAuthenticator(Authenticator):
    """Signs people in by OpenID Connect, and asks the provider about each again and again."""

    settings = AnyTrait(help="The installation's Settings.").tag(config=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.flow = CodeFlow(
            Provider(self.settings.oidc_issuer),
            self.settings.oidc_client_id,
            client_secret(self.settings),
            f"{self.settings.origin}/hub{CALLBACK}",
        )
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._checked: dict[str, tuple[float, bool]] = {}

    def login_url(self, base_url: str) -> str:
        return base_url.rstrip("/") + SIGN_IN

    def get_handlers(self, app: JupyterHub) -> list[tuple[str, type[BaseHandler]]]:
        ours = [(SIGN_IN, SignIn), (CALLBACK, Callback), (SIGN_OUT, SignOut)]
        return ours + [(f"{path}(/.*)?", hub_pages.NotHere) for path in hub_pages.OF_NO_USE]

    async def authenticate(self, handler: BaseHandler, data: dict[str, Any]) -> AuthModel | None:
        """The person for whom the callback has a code. A form posted to the hub never has an Attempt."""
        attempt = data.get("attempt")
        if not isinstance(attempt, Attempt):
            return None
        now = datetime.now(UTC)
        return self._model(await self.flow.finish(attempt, data["code"], data["issuer"], now), now)

    async def refresh_user(self, user: User, handler: BaseHandler | None = None) -> AuthModel | bool:
        """What the provider says of a person now; False: no longer signed in.

        Refresh tokens are for one use, so of those who ask at once only the first asks the provider.
        """
        asked = time.monotonic()
        async with self._locks[user.name]:
            when, outcome = self._checked.get(user.name, (0.0, False))
            if when >= asked:
                return outcome
            model = await self._checked_again(user)
            self._checked[user.name] = time.monotonic(), bool(model)
        return model

    async def _checked_again(self, user: User) -> AuthModel | bool:
        """A refusal ends the sessions. A provider out of reach ends nothing for good: until the grace is over the
        claims that were verified last still serve, as they are, and then nobody gets in until it is back.
        """
        state = await user.get_auth_state()
        if not state:
            return False
        now = datetime.now(UTC)

        async def keep(refresh_token: str) -> None:
            await user.save_auth_state(state | {"refresh_token": refresh_token})

        try:
            async with asyncio.timeout(rhythm.CHECK_PATIENCE):
                grant = await self.flow.renew(state["refresh_token"], state["subject"], now, keep)
            model = self._model(grant, now)
            if model["name"] != user.name:
                raise IdentityRefused("Moved to another organization, so they must sign in again.")
        except (ProviderUnreachable, TimeoutError) as error:
            self.log.error("%s could not be checked. %s", user.name, error or "The provider was too slow.")
            if isinstance(error, ProviderRefusesUs):
                return False
            return now.timestamp() < (user.orm_user.user_info or {}).get("valid_until", 0)
        except IdentityRefused as error:
            self.log.warning("%s is signed out. %s", user.name, error)
            await end_sessions(user)
            return False
        await user.save_auth_state(model.pop("auth_state"))
        return model

    def _model(self, grant: Grant, now: datetime) -> AuthModel:
        """The hub's form of a person. Our roles are no rights at the hub: nobody is its admin."""
        person = principal(grant.claims, self.settings)
        info = {
            "name": person.name or person.user,
            "agent_analytics": person.to_json(),
            "verified_at": int(now.timestamp()),
            "valid_until": int((now + timedelta(minutes=self.settings.grace_minutes)).timestamp()),
        }
        state = {
            "refresh_token": grant.refresh_token,
            "id_token": grant.id_token,
            "subject": grant.claims["sub"],
        }
        name = hub_name(grant.claims["iss"], person.organization, grant.claims["sub"])
        groups = hub_servers.groups(person)
        return {"name": name, "admin": False, "groups": groups, "user_info": info, "auth_state": state}


def hub_name(issuer: str, organization: str | None, subject: str) -> str:
    """A person's name at the hub: one for each person and organization, always the same, with nothing personal in it.

    >>> hub_name("https://id.example.com", "acme", "ada")
    'acme-09f1ca30a2379c51f22f3228'
    """
    digest = hashlib.sha256(json.dumps([issuer, organization, subject]).encode()).hexdigest()
    return f"{organization or 'platform'}-{digest[:24]}"


def configure(c: Config, settings: Settings) -> None:
    """Set JupyterHub's traitlets. Raises SettingError where a setting is missing that the hub needs."""
    if settings.oidc_issuer is None:
        raise SettingError("AGENT_ANALYTICS_OIDC_ISSUER is not set: who shall sign people in?")
    _configure_addresses(c, settings)
    _configure_state(c, settings)
    _configure_sign_in(c, settings)
    _configure_rights(c, settings)
    hub_servers.configure(c, settings)
    hub_pages.configure(c, settings)


def _configure_addresses(c: Config, settings: Settings) -> None:
    """The proxy is not ours to start; one that was restarted gets its routes back within seconds."""
    c.JupyterHub.bind_url = f"http://127.0.0.1:{settings.port}"
    c.JupyterHub.public_url = settings.origin + "/"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.port_of('hub')}"
    c.JupyterHub.default_url = "/services/dashboards/"
    c.JupyterHub.redirect_to_server = False
    c.JupyterHub.last_activity_interval = SECONDS_BETWEEN_ROUTE_CHECKS
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.cleanup_proxy = False
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.port_of('proxy-api')}"
    c.ConfigurableHTTPProxy.auth_token = keys.secret(settings.home, "proxy-token")


def _configure_state(c: Config, settings: Settings) -> None:
    home.prepare(settings.home)
    directory = settings.home / "hub"
    directory.mkdir(mode=0o700, exist_ok=True)
    c.JupyterHub.db_url = f"sqlite:///{directory / 'hub.sqlite'}"
    c.JupyterHub.upgrade_db = True
    c.JupyterHub.cookie_secret = bytes.fromhex(keys.secret(settings.home, "hub-cookie-secret"))
    c.CryptKeeper.keys = [keys.secret(settings.home, "hub-crypt-key")]
    c.JupyterHub.log_level = "INFO"


def _configure_sign_in(c: Config, settings: Settings) -> None:
    c.JupyterHub.authenticator_class = PlatformAuthenticator
    c.PlatformAuthenticator.settings = settings
    c.Authenticator.allow_all = True
    c.Authenticator.auto_login = True
    c.Authenticator.enable_auth_state = True
    c.Authenticator.auth_refresh_age = SECONDS_BETWEEN_CHECKS
    c.Authenticator.auth_refresh_strict = True
    c.JupyterHub.oauth_require_pkce = True
    c.JupyterHub.cookie_host_prefix_enabled = settings.is_https


def _configure_rights(c: Config, settings: Settings) -> None:
    """Everybody may use our services, which look at their claims.

    The hub gives a service no token for somebody who may not read their own name and groups.
    """
    c.JupyterHub.services = [
        {
            "name": name,
            "url": f"http://127.0.0.1:{settings.port_of(name)}",
            "api_token": keys.secret(settings.home, f"service-{name}"),
            "oauth_no_confirm": True,
            "oauth_redirect_uri": f"{settings.origin}/services/{name}/oauth_callback",
            "timeout": 1,
        }
        for name in SERVICES
    ]
    scopes = [f"access:services!service={name}" for name in SERVICES]
    scopes += ["read:users:name!user", "read:users:groups!user"]
    c.JupyterHub.load_roles = [{"name": "user", "scopes": scopes}, *hub_servers.roles(settings)]


class Hub(JupyterHub):
    """JupyterHub, configured in place of reading a file."""

    prepared = AnyTrait()

    def load_config_file(self, *_: Any, **__: Any) -> None:
        self.update_config(self.prepared)

    async def start(self) -> None:
        await super().start()
        self.sweeping = PeriodicCallback(partial(hub_servers.sweep, self), 1000 * rhythm.SWEEP_EVERY)
        self.sweeping.start()


def main(settings: Settings) -> None:
    """Run the hub in this process until it is told to stop. Raises SettingError."""
    os.umask(0o077)
    app_log.setLevel(logging.WARNING)  # below that, it tells people's session ids
    prepared = Config()
    configure(prepared, settings)
    Hub.instance(prepared=prepared)
    Hub.launch_instance([])
