"""A service behind the hub, as small as can be: it tells who the hub says is there. Run with the hub's variables."""

import asyncio
import os
import secrets
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado import web


class WhoAmI(HubOAuthenticated, web.RequestHandler):
    @web.authenticated
    def get(self) -> None:
        self.write(self.current_user)


async def main() -> None:
    prefix = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
    handlers = [(f"{prefix}oauth_callback", HubOAuthCallbackHandler), (f"{prefix}.*", WhoAmI)]
    HubOAuth.instance(cache_max_age=1)  # the handlers take the one instance
    application = web.Application(handlers, cookie_secret=secrets.token_bytes(32), log_function=print)
    address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    application.listen(address.port, address=address.hostname)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
