"""Every address of the service: who may come in, what they get, and what nobody gets."""

import gzip
import json
import re
import socket
from urllib.parse import quote

import httpx2
import pytest
from dashboards.house import ADMIN, MEMBER, PREFIX, House
from dashboards.made import Tags

from agent_analytics.scope import Principal

LEAD = Principal("TEAM_LEAD", "acme", "tia", teams=("Search",), name="<b>Tia</b>")
PLATFORM = Principal("PLATFORM_ADMIN", None, "pia", name="Pia")
HTML = {"Accept": "text/html"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"
)


def test_without_sign_in_every_page_leads_to_it(house: House) -> None:
    for path in ("", "organization", "organization?template=lab"):
        reply = httpx2.get(house.url(path))
        assert reply.status_code == 302
        assert urlpath(reply.headers["Location"]) == f"{PREFIX}login"


def test_without_sign_in_there_is_nothing_else(house: House) -> None:
    for path in ("nothing", "organization.ipynb", "api/kernels", "voila/static/voila.js"):
        assert httpx2.get(house.url(path)).status_code == 404


def urlpath(url: str) -> str:
    return url.partition("?")[0]


def test_an_admin_is_led_to_the_organization(house: House) -> None:
    with house.client(ADMIN) as client:
        reply = client.get("")
        assert (reply.status_code, reply.headers["Location"]) == (302, f"{PREFIX}organization")


@pytest.mark.parametrize("principal", [MEMBER, LEAD, PLATFORM, None], ids=["member", "lead", "platform", "unknown"])
@pytest.mark.parametrize("path", ["", "organization"])
def test_others_are_told_who_they_are_why_not_and_how_to_go_on(
    house: House, principal: Principal | None, path: str
) -> None:
    before = house.kernels()
    with house.client(principal) as client:
        reply = client.get(path, headers=HTML)
    assert reply.status_code == 403
    assert "This page is for organization admins" in reply.text
    assert f'href="{PREFIX}logout"' in reply.text
    assert house.kernels() == before
    if principal:
        assert f"<bdi>{principal.name}</bdi>".replace("<b>Tia</b>", "&lt;b&gt;Tia&lt;/b&gt;") in reply.text
        assert (principal.organization or "the platform") in reply.text


CLOSED = [
    "organization.ipynb",
    "notebooks/organization.ipynb",
    "voila/files/organization.ipynb",
    "voila/render/organization.ipynb",
    "voila/tree",
    "voila/static/voila.js",
    "voila/templates/lab/static/voila.js",
    "voila/api/contents/organization.ipynb",
    "voila/api/themes/x",
    "voila/labextensions/x",
    "voila/query/00000000-0000-0000-0000-000000000000",
    "api/contents",
    "static/",
    "static/manifest.json",
    "static/../../pyproject.toml",
    "static/..%2f..%2fpage.py",
    "static/%2e%2e/%2e%2e/pyproject.toml",
    "static/%00",
    "%00",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "organization/",
    "organization%00",
    "Organization",
    "x" * 5000,
    quote("مرحبا🦀"),
]


@pytest.mark.parametrize("path", CLOSED, ids=range(len(CLOSED)))
def test_nothing_else_is_served(house: House, path: str) -> None:
    with house.client(ADMIN) as client:
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    status, text = asked(house, path, cookies)
    assert status in (403, 404)
    for secret in ("Traceback", "site-packages", "agent_analytics/", "import ", "root:"):
        assert secret not in text


def asked(house: House, path: str, cookies: str) -> tuple[int, str]:
    """The reply to exactly this path: a client would tidy it."""
    with socket.create_connection(("127.0.0.1", house.settings.port_of("dashboards"))) as connection:
        request = f"GET {PREFIX}{path} HTTP/1.1\r\nHost: x\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        reply = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return int(reply.split(" ", 2)[1]), reply


def test_every_reply_carries_the_policy_and_no_script_or_style_is_inline(house: House) -> None:
    with house.client(ADMIN) as client, house.client(MEMBER) as member:
        page = client.get("organization?template=lab&theme=dark")
        state = json.loads(page.text.partition('type="application/json">')[2].partition("</script>")[0])
        client.delete(f"api/kernels/{state['kernel']}", headers={"X-XSRFToken": state["token"]})
        replies = [page, client.get("nothing"), member.get("organization"), client.get("api/kernels/x")]
    for reply in replies:
        assert reply.headers["Content-Security-Policy"] == POLICY
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        for tag, attributes in Tags(reply.text).tags:
            assert tag != "style"
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
            assert tag != "script" or "src" in attributes or attributes["type"] == "application/json"
    served = [attributes["src"] for tag, attributes in Tags(page.text).tags if tag == "script" and "src" in attributes]
    assert [source for source in served if not source.startswith(f"{PREFIX}static/page-")] == []
    assert page.headers["Cache-Control"] == "no-store"
    assert state.keys() == {"kernel", "token", "states"}


def test_what_the_page_carries_cannot_leave_its_script(house: House) -> None:
    with house.client(ADMIN) as client:
        opened = house.open(client)
        html = client.get("organization").text
        opened.ask("DELETE")
    carried = html.partition('type="application/json">')[2].partition("</script>")[0]
    assert not set("<>&") & set(carried)
    assert "alert(1)" in carried


def test_files_are_hashed_compressed_and_never_change(house: House) -> None:
    with house.client(ADMIN) as client:
        text = client.get("nothing", headers=HTML).text
    (style,) = re.findall(r'href="([^"]+\.css)"', text)
    assert re.search(r"-[0-9a-f]{16}\.css$", style)
    zipped = httpx2.get(house.origin + style, headers={"Accept-Encoding": "gzip"})
    plain = httpx2.get(house.origin + style, headers={"Accept-Encoding": "identity"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert zipped.content == plain.content
    assert "immutable" in plain.headers["Cache-Control"]
    assert len(gzip.compress(plain.content)) < len(plain.content) / 2


def test_a_failure_shows_a_reference_that_is_in_the_log_and_nothing_else(house: House) -> None:
    with house.client(ADMIN) as client:
        reply = client.get("api/kernels/00000000-0000-0000-0000-000000000000")
    problem = reply.json()
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert problem.keys() == {"title", "status", "reference"}
    assert problem["reference"] in house.log.read_text()


def test_the_log_has_no_queries_and_no_tokens(house: House) -> None:
    with house.client(ADMIN) as client:
        client.get("nothing?code=canary-code&token=canary-token")
    assert "canary-" not in house.log.read_text()
