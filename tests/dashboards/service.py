"""The dashboards' service, with a sign-in of its own in place of the hub's: `enter?as=…` is who you are.

Started as `service.py HOME PORT`. Whoever's name is a line of `HOME/revoked` has lost the right; while there is a file
`HOME/unchecked`, nobody's could be checked for more than a minute.
"""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler

from agent_analytics.scope import Principal
from agent_analytics.serving import dashboards
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


if __name__ == "__main__":
    dashboards.RENEW_SECONDS = 1
    config = dashboards.configured(Settings(home=Path(sys.argv[1]), port=int(sys.argv[2])))
    config.Voila.identity_provider_class = Anyone
    dashboards.serve(config)
