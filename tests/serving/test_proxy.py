"""The public port: everything to the hub, but our services' own paths, and nothing of it from outside this machine."""

import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_analytics import keys
from agent_analytics.errors import ServiceError
from agent_analytics.serving import lab, proxy
from agent_analytics.settings import Settings


class Mirror(http.server.BaseHTTPRequestHandler):
    """Says who answers, and what reached it."""

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"port": self.server.server_address[1], "path": self.path, **headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None: ...


@contextmanager
def mirror(port: int):
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def start(settings: Settings) -> subprocess.Popen[str]:
    environment = {**os.environ, "AGENT_ANALYTICS_HOME": str(settings.home), "AGENT_ANALYTICS_PORT": str(settings.port)}
    if settings.public_url:
        environment["AGENT_ANALYTICS_PUBLIC_URL"] = settings.public_url
    command = [sys.executable, "-m", "agent_analytics.cli", "serve", "proxy"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": f"localhost:{port}"} | headers)
    response = connection.getresponse()
    text = response.read()
    said = json.loads(text) if text.startswith(b"{") else {}
    return response.status, said | ({"to": to} if (to := response.headers["Location"]) else {})


@pytest.fixture
def running(home: Path, port: int):
    with up(Settings(home=home, port=port)) as settings:
        yield settings


@contextmanager
def up(settings: Settings):
    port = settings.port
    process = start(settings)
    deadline = time.monotonic() + 30
    while True:
        try:
            ask(port, "/")
            break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield settings
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_each_path_reaches_its_process(running: Settings) -> None:
    with mirror(running.port_of("hub")), mirror(running.port_of("api")), mirror(running.port_of("dashboards")):
        for path, process in {
            "/": "hub",
            "/hub/login?next=%2F": "hub",
            "/services/api/v1/query": "api",
            "/services/dashboards/organization": "dashboards",
            "/services/other": "hub",
        }.items():
            status, said = ask(running.port, path)
            assert (status, said["port"], said["path"]) == (200, running.port_of(process), path)


def test_it_adds_no_word_of_its_own(home: Path, port: int) -> None:
    public = Settings(home=home, port=port, public_url="https://analytics.example.com")
    with up(public), mirror(public.port_of("hub")):
        for host in ("analytics.example.com", "127.0.0.1:1", "what.another.proxy.says"):
            _, said = ask(port, "/", Host=host, **{"X-Forwarded-Proto": "https"})
            assert said["host"] == host
            assert {name for name in said if name.startswith("x-")} == {"x-forwarded-proto"}


def test_pages_have_one_origin_and_other_names_of_this_machine_lead_there(running: Settings) -> None:
    with mirror(running.port_of("hub")), mirror(running.port_of("api")):
        for host in ("127.0.0.1", f"127.0.0.1:{running.port}", "[::1]:80"):
            told = ask(running.port, "/hub/login?next=%2F", Host=host)
            assert told == (302, {"to": f"{running.origin}/hub/login?next=%2F"})
        assert ask(running.port, "/", Host="LocalHost")[0] == 200
        assert ask(running.port, "/", "POST", Host="127.0.0.1")[0] == 421
        for host in (
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "",
            "a@localhost",
            "127.0.0.1.evil",
            "localhost.",
        ):
            assert ask(running.port, "/", Host=host)[0] == 421
        status, said = ask(running.port, "/services/api/v1/query", Host="127.0.0.1")
        assert (status, said["host"]) == (200, f"localhost:{running.port}")
        for way_out in ("/services/api/../../hub/home", "/services/api/%2e%2e/%2E%2E/hub/home"):
            assert ask(running.port, way_out, Host="evil.example")[0] == 421


def test_below_the_origin_there_are_users_servers_and_nothing_else(running: Settings) -> None:
    if lab.refusal(running):
        pytest.skip("needs root")
    with mirror(running.port_of("hub")):
        assert ask(running.port, "/user/ada/lab", Host="ada.localhost")[0] == 200
        for path in ("/", "/hub/home", "/services/dashboards/", "/user/../hub/home"):
            assert ask(running.port, path, Host="ada.localhost") == (302, {"to": running.origin + path})
            assert ask(running.port, path, "POST", Host="ada.localhost")[0] == 421


def test_a_missing_process_is_said_and_comes_back(running: Settings) -> None:
    assert ask(running.port, "/services/api/v1/query")[0] == 503
    with mirror(running.port_of("api")):
        assert ask(running.port, "/services/api/v1/query")[0] == 200


def test_routes_are_changed_with_the_token_alone(running: Settings) -> None:
    token = keys.secret(running.home, "proxy-token")
    port = running.port_of("proxy-api")
    assert ask(port, "/api/routes")[0] == 403
    assert ask(port, "/api/routes", Authorization="token guess")[0] == 403
    status, routes = ask(port, "/api/routes", Authorization=f"token {token}")
    place = "" if lab.refusal(running) else "/localhost"
    assert (status, set(routes)) == (200, {"/", f"{place}/services/api", f"{place}/services/dashboards"})


def test_a_taken_port_ends_it(running: Settings) -> None:
    second = start(running)
    assert second.wait(30) == 1
    assert second.stderr
    assert "EADDRINUSE" in second.stderr.read()


def test_an_unbuilt_front_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "SCRIPT", tmp_path / "proxy.mjs")
    with pytest.raises(ServiceError, match="make frontend"):
        proxy.program()


def test_node_is_found_or_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(proxy.node()).name == "node"
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(proxy, "_packaged_node", lambda: None)
    with pytest.raises(ServiceError, match=r"needs node 20 or newer.*agent-analytics\[node\]"):
        proxy.node()
