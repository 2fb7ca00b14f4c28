"""The dashboards' service, with a sign-in of its own in place of the hub's: `enter?as=…` is who you are.

Started as `service.py HOME PORT OPTIONS`. Whoever's name is a line of `HOME/revoked` has lost the right; while there
is a file `HOME/unchecked`, nobody's could be checked for more than a minute. The options are settings, and `unmet`:
how many seconds a kernel waits for its page; `stock`: Voilà's own doors in place of ours; `hub`: sign-in by the hub
after all.
"""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jupyter_server.auth import AllowAllAuthorizer, IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from traitlets.config import Config
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from agent_analytics.scope import Principal
from agent_analytics.serving import dashboards, kernels
from agent_analytics.serving.kernels import Owner
from agent_analytics.serving.replies import PREFIX, Reply
from agent_analytics.settings import Settings


class Enter(Reply, JupyterHandler):
    @allow_unauthenticated
    def get(self) -> None:
        self.set_secure_cookie("who", self.get_argument("as"), path=PREFIX)
        self.redirect(PREFIX)


class Leave(Reply, JupyterHandler):
    @allow_unauthenticated
    def get(self) -> None:
        self.clear_cookie("who", path=PREFIX)
        self.finish("Signed out")


class Anyone(IdentityProvider):
    def get_handlers(self) -> list[tuple[Any, ...]]:
        return [(f"{PREFIX}enter", Enter), (f"{PREFIX}logout", Leave)]

    def get_user(self, handler: Any) -> User | None:
        who = handler.get_secure_cookie("who")
        return User(username=who.decode()) if who else None

    def owner_of(self, handler: Any) -> Owner | None:
        claims = json.loads(handler.current_user.username)
        if not claims.get("role"):
            return None
        return verified(Owner(claims["user"], Principal.from_json(claims), claims["user"]), datetime.now(UTC))

    async def still(self, owner: Owner, now: datetime) -> Owner | None:
        revoked = Path(sys.argv[1]) / "revoked"
        lost = revoked.exists() and owner.name in revoked.read_text().splitlines()
        return None if lost else verified(owner, now)


def verified(owner: Owner, now: datetime) -> Owner:
    before = timedelta(minutes=5 if (Path(sys.argv[1]) / "unchecked").exists() else 0)
    return replace(owner, verified_at=now - before, valid_until=now - before + timedelta(minutes=15))


class Stock(dashboards.Dashboards):
    """What everybody could do who knows a kernel's id, were it not for our handlers and our authorizer."""

    def init_handlers(self) -> list[tuple[Any, ...]]:
        kernel = f"{PREFIX}api/kernels/{dashboards._KERNEL_ID}"
        doors = [(kernel, KernelHandler), (f"{kernel}/channels", VoilaKernelWebsocketHandler)]
        doors += [(f"{PREFIX}voila/api/shutdown/{dashboards._KERNEL_ID}", VoilaShutdownKernelHandler)]
        return [*doors, *super().init_handlers()]


def main(settings: Settings, stock: bool, hub: bool, unmet: float) -> None:
    dashboards.RENEW_SECONDS = 1
    kernels.UNMET_SECONDS = unmet
    config = dashboards.configured(settings)
    if not hub:
        config.Voila.identity_provider_class = Anyone
    if stock:
        config.merge(Config(Voila=Config(authorizer_class=AllowAllAuthorizer)))
    dashboards.serve(config, Stock if stock else dashboards.Dashboards)


if __name__ == "__main__":
    options = {"stock": False, "hub": False, "unmet": 600} | json.loads(sys.argv[3])
    own = {name: options.pop(name) for name in ("stock", "hub", "unmet")}
    main(Settings(home=Path(sys.argv[1]), port=int(sys.argv[2]), **options), **own)
