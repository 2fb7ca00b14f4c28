"""Whether the installation answers: its ports are free before it starts, its routes answer once it has."""

import http.client
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from agent_analytics.errors import ServiceError
from agent_analytics.settings import Settings


@dataclass(frozen=True)
class Route:
    """What a process answers at a port and path, once it is ready."""

    process: str
    port: int
    path: str
    status: int = 200
    leads_to: str = ""


def routes(settings: Settings, demo: bool, since: datetime) -> list[Route]:
    """Each process's own sign of readiness, through the public port where it has one.

    The API's is that it counts what was committed at `since`: nobody shall meet figures older than the start.
    """
    found = [
        Route("hub", settings.port, "/hub/health"),
        Route("api", settings.port, f"/services/api/health/ready?since={since:%Y-%m-%dT%H:%M:%S.%fZ}"),
        Route("dashboards", settings.port, "/services/dashboards/organization", 302, "/hub/api/oauth2/authorize"),
    ]
    if demo:
        found.insert(0, Route("provider", settings.port_of("provider"), "/.well-known/openid-configuration"))
    return found


def answers(route: Route, host: str) -> bool:
    """Whether the process answers as it does when it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", route.port, timeout=5)
    try:
        connection.request("GET", route.path, headers={"Host": host})
        response = connection.getresponse()
        return response.status == route.status and route.leads_to in response.headers.get("Location", "")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait(settings: Settings, routes: Iterable[Route], check: Callable[[], None], seconds: float) -> Route | None:
    """Return when every route answers, or the first that does not after `seconds`; call `check` again and again."""
    host, deadline = urlsplit(settings.origin).netloc, time.monotonic() + seconds
    waiting = list(routes)
    while waiting:
        if answers(waiting[0], host):
            waiting.pop(0)
        elif time.monotonic() > deadline:
            return waiting[0]
        else:
            check()
            time.sleep(0.1)
    return None


def check_ports(settings: Settings, demo: bool) -> None:
    """Raise ServiceError for a port that something else listens on."""
    names = ["hub", "proxy-api", "api", "dashboards"] + (["provider"] if demo else [])
    for process, port in [("proxy", settings.port), *((name, settings.port_of(name)) for name in names)]:
        if not _is_free(port):
            raise ServiceError(
                f"Port {port} is in use, and {process} needs it. Set AGENT_ANALYTICS_PORT to a number that is free "
                "together with the six after it."
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
