"""Whatever goes wrong, a reader gets a reference that is in the log, and nothing of what is inside."""

import itertools
import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest
from dashboards.house import ADMIN, MEMBER, PREFIX, House, Opened

ERRORS = 200
INSIDE = re.compile(
    r"Traceback|site-packages|File \"|/tmp/|/home/|/usr/|\.py\b|select |psycopg|duckdb|tornado|import |root:"
)
TRAVERSALS = ["%00", "..%2f..%2fetc%2fpasswd", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..%5c..%5cwin.ini"]
TRAVERSALS += ["....//....//etc/passwd", "%252e%252e%252fetc/passwd", "..%c0%af..%c0%afetc/passwd", "%ff", "%"]
SOURCES = ["organization.ipynb", "organization.ipynb?download=1", "notebooks/organization.ipynb", "page.py"]
SOURCES += ["voila/files/organization.ipynb", "voila/render/organization.ipynb", "files/organization.ipynb"]
SOURCES += ["api/contents/organization.ipynb", "static/manifest.json", "static/page.js", "static/organization.ipynb"]
PLACES = ["", "static/", "api/kernels/", "voila/templates/", "voila/files/", "organization/"]
KINDS = [{"Accept": "application/json"}, {"Accept": "text/html"}]


def provoked(house: House, opened: Opened) -> Iterator[httpx2.Request]:
    """Requests that are all wrong: for pages, files, sources, kernels and websockets."""
    client = opened.client
    token = {"X-XSRFToken": opened.token}
    for place, path, kind in itertools.product(PLACES, TRAVERSALS, KINDS):
        yield client.build_request("GET", httpx2.URL(house.url(place + path)), headers=kind)
    for path, kind in itertools.product(SOURCES, KINDS):
        yield client.build_request("GET", path, headers=kind)
    for method, path in itertools.product(("PUT", "PATCH", "POST"), ("", "organization", "static/x.js", "nothing")):
        yield client.build_request(method, path, headers=token, content=b"\xff{")
    for kernel in (uuid4(), "x", "0" * 36, "%00", quote("' or 1=1 --"), "x" * 3000):
        for method, end in itertools.product(("GET", "DELETE", "POST"), ("", "/channels", "/restart")):
            yield client.build_request(method, f"api/kernels/{kernel}{end}", headers=token)
    for more in ({}, {"Upgrade": "h2c"}, {"Upgrade": "websocket"}, {"Upgrade": "websocket", "Connection": "close"}):
        yield client.build_request("GET", f"{opened.path}/channels", headers=more)
    for session in ("x" * 300, "../..", "%00", "' or 1=1", "<script>"):
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        yield client.build_request("GET", f"{opened.path}/channels", params={"session_id": session}, headers=headers)
    for name in ("Cookie", "X-XSRFToken", "Content-Type", "Authorization"):
        yield client.build_request("DELETE", opened.path, headers={name: "'<%00>" * 30})


def test_two_hundred_errors_tell_a_reference_and_nothing_else(house: House, opened: Opened) -> None:
    replies = [opened.client.send(request) for request in provoked(house, opened)]
    errors = [reply for reply in replies if reply.status_code >= 400]
    assert len(errors) >= ERRORS
    assert {reply.status_code for reply in replies} <= {302, 400, 403, 404, 405, 426}
    assert [str(reply.url) for reply in replies if INSIDE.search(reply.text)] == []
    assert [(str(reply.url), reply.text) for reply in errors if "X-Reference" not in reply.headers] == []
    references = [reply.headers["X-Reference"] for reply in errors]
    assert len(set(references)) == len(references)
    log = house.log.read_text()
    assert [str(one.url) for one, name in zip(errors, references, strict=True) if f"reference {name}" not in log] == []
    for reply in errors:
        if reply.headers["Content-Type"] == "application/problem+json":
            assert reply.json().keys() == {"title", "status", "reference"}
    assert opened.ask("GET") == 200


def test_broken_requests_end_themselves_alone(house: House, opened: Opened) -> None:
    head = f"GET {PREFIX}organization HTTP/1.1\r\nHost: x\r\n"
    for text in (
        "\0\r\n\r\n",
        "GET\r\n\r\n",
        f"{head}bad\r\n\r\n",
        f"{head}Content-Length: -1\r\n\r\n",
        f"{head}X: {'x' * 90_000}\r\n\r\n",
        f"{head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nzz\r\n",
        f"{head}Content-Length: 99999999999\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", house.settings.port_of("dashboards")), timeout=20) as connection:
            connection.sendall(text.encode())
            connection.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        assert not INSIDE.search(said.partition("\r\n\r\n")[2])
        assert said[:12] in ("", "HTTP/1.1 400", "HTTP/1.1 302")
    assert opened.ask("GET") == 200


def test_sources_are_nowhere(house: House, opened: Opened) -> None:
    """Not for whoever may see the page either."""
    for path in SOURCES:
        reply = opened.client.get(path)
        assert reply.status_code == 404, path
        assert "nbformat" not in reply.text


def test_a_page_that_cannot_be_made_says_so_under_its_reference(house: House) -> None:
    """The API is away: the panels fail, each with its reference, and nothing tells where the API was."""
    house.stop("api")
    try:
        with house.client(ADMIN) as client:
            page = house.open(client)
            html = "".join(str(state.get("html", "")) for state in page.states.values())
            text = client.get("organization").text
            page.ask("DELETE")
    finally:
        house.start_api()
    for said in (html, text, json.dumps(page.states)):
        assert not INSIDE.search(said)
        assert house.api_url not in said
    references = set(re.findall(r"<code>([0-9a-f]{8})</code>", text))
    assert references
    assert all(name in house.log.read_text() for name in references)


def test_whoever_may_not_learns_nothing_more(house: House) -> None:
    with house.client(MEMBER) as client:
        reply = client.get("organization", headers={"Accept": "text/html"})
    assert reply.status_code == 403
    assert reply.headers["X-Reference"] in house.log.read_text()
    assert not INSIDE.search(reply.text)


@pytest.mark.parametrize("size", [1_000_001, 5_000_000])
def test_nobody_sends_us_much(house: House, opened: Opened, size: int) -> None:
    with pytest.raises(httpx2.HTTPError):
        opened.client.post("organization", content=b"x" * size).raise_for_status()
    assert opened.ask("GET") == 200
