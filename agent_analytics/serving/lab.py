"""Whether there is JupyterLab here, for whom, and where."""

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

from agent_analytics.settings import Settings

ROLES = ("ORG_ADMIN", "TEAM_LEAD")


def refusal(settings: Settings) -> str | None:
    """Why nobody gets JupyterLab here; None where it is on.

    Whoever has a server can serve any script from it and run any command in it. So each server has a host name of
    its own, whose script our pages' cookies do not reach, and runs under an account of its own, which our files
    are closed to; where one of both cannot be had, there are no servers.
    """
    if not (settings.public_url is None if settings.jupyterlab is None else settings.jupyterlab):
        return "It is not switched on: AGENT_ANALYTICS_JUPYTERLAB=on, once *.<public host> leads here."
    if os.geteuid() != 0:
        return "Each person's server needs an account of its own, which only an installation run by root can give."
    if not _has_names_below(host(settings)):
        return f"Each person's server needs a host name of its own, and below {host(settings)} there are none."
    return None


def host(settings: Settings) -> str:
    """The public host name, without its port."""
    return urlsplit(settings.origin).hostname or ""


def _has_names_below(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return True
    return False
