"""What every reply of the pages' service carries, and what a request must carry to change something."""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from dashboards.house import ADMIN, MEMBER, PREFIX, House, Opened, free_ports
from websockets.exceptions import InvalidStatus

from agent_analytics.serving.dashboards import Dashboards
from agent_analytics.serving.hub_identity import HubIdentity
from agent_analytics.serving.replies import HEADERS, POLICY

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
CHANGING = METHODS[2:6]
KERNEL = f"api/kernels/{uuid4()}"
# An address of each route. A route without one fails.
ADDRESSES = [
    "",
    "organization",
    "oauth_callback",
    "oauth_callback?code=x&state=y",
    "logout",
    "lab",
    KERNEL,
    f"{KERNEL}/channels",
    "static/nothing.js",
]
ELSEWHERE = ["nothing", "static/", "%00", "..%2f..%2fetc/passwd", "api/kernels"]
EXPECTED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LONG = 31_536_000


@pytest.fixture(scope="module")
def public(scratch: Path) -> Iterator[House]:
    """The service as browsers reach it by TLS, with the hub's own sign-in. Nobody is signed in: there is no hub."""
    home = scratch / "public"
    home.mkdir()
    options = {"hub": True, "public_url": "https://analytics.example.com"}
    house = House(home, "postgresql://nowhere.invalid/none", free_ports(7), options=options)
    house.start_service()
    yield house
    house.stop_all()


def routes() -> list[str]:
    hub = SimpleNamespace(get_handlers=lambda: HubIdentity.get_handlers(SimpleNamespace(hub_auth=None)))
    app: Any = SimpleNamespace(identity_provider=hub)
    return [route for route, *_ in Dashboards.init_handlers(app)]


def test_every_route_has_an_address_here() -> None:
    paths = [PREFIX + address.partition("?")[0] for address in ADDRESSES]
    assert [route for route in routes() if not any(re.fullmatch(route, path) for path in paths)] == []


def every_reply(house: House, client: httpx2.Client) -> Iterator[tuple[str, httpx2.Response]]:
    for address in [*ADDRESSES, *ELSEWHERE]:
        for method in METHODS:
            if (method, address) != ("GET", "organization"):
                yield f"{method} {address}", client.request(method, address)
    for address in ("organization", "nothing"):
        yield address, client.get(address, headers={"Accept": "text/html", "Origin": "https://evil.example"})


@pytest.mark.parametrize("who", [None, MEMBER, ADMIN], ids=["nobody", "member", "admin"])
def test_every_reply_carries_the_headers(house: House, who: Any) -> None:
    with house.client(who) if who else httpx2.Client(base_url=house.url()) as client:
        if who is ADMIN:
            house.open(client).ask("DELETE")
        wrong = [name for name, reply in every_reply(house, client) if not carries(reply)]
    assert wrong == []


def carries(reply: httpx2.Response) -> bool:
    """Our headers, and none that lets another site in or tells what runs here."""
    loose = [name for name in reply.headers if name.lower().startswith("access-control-allow") or name == "server"]
    return not loose and {name: reply.headers.get(name) for name in EXPECTED} == EXPECTED


def test_the_page_its_files_and_a_refused_websocket_carry_them_too(house: House, opened: Opened) -> None:
    with house.client(ADMIN) as client:
        text = client.get("nothing", headers={"Accept": "text/html"}).text
        for path in re.findall(r'(?:href|src)="([^"]+\.(?:css|js|svg))"', text):
            assert carries(client.get(house.origin + path))
    with pytest.raises(InvalidStatus) as refused:
        opened.websocket(origin="https://evil.example")
    assert {name: refused.value.response.headers.get(name) for name in EXPECTED} == EXPECTED
    with opened.websocket() as socket:
        assert socket.response is not None
        assert socket.response.headers["Content-Security-Policy"] == POLICY


def test_the_policy_lets_in_no_inline_no_eval_and_nothing_foreign() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert (
        policy["script-src"] == policy["connect-src"] == policy["form-action"] == policy["frame-ancestors"] == "'self'"
    )
    assert not re.search(r"unsafe|\*|https?:", POLICY)
    assert {source for value in policy.values() for source in value.split()} == {"'self'", "'none'", "data:"}


def test_by_tls_browsers_are_told_to_stay_there(public: House, house: House) -> None:
    with httpx2.Client(base_url=public.url()) as client:
        for name, reply in every_reply(public, client):
            assert reply.headers.get("Strict-Transport-Security") == f"max-age={LONG}", name
            assert carries(reply), name
    assert "Strict-Transport-Security" not in httpx2.get(house.url()).headers


def test_every_cookie_is_for_our_pages_alone(public: House, house: House) -> None:
    with httpx2.Client(base_url=public.url()) as client, house.client(ADMIN) as local:
        page = local.get("organization")
        kept = [*cookies(public, client), *[one for one in cookies(house, local, page) if one.key != "who"]]
    named = {one.key.partition("-oauth-state")[0] for one in kept}
    assert named >= {"__Host-service-dashboards", "_xsrf"}
    for cookie in kept:
        assert cookie["httponly"], cookie.key
        assert cookie["samesite"].lower() in ("lax", "strict"), cookie.key
        # A host's own cookie is for all of it, or browsers do not take it as such.
        assert cookie["path"].startswith("/" if cookie.key.startswith("__Host-") else PREFIX), cookie.key
    assert all(one["secure"] for one in cookies(public, httpx2.Client(base_url=public.url())))


def cookies(house: House, client: httpx2.Client, *more: httpx2.Response) -> Iterator[Any]:
    for reply in [*more, *(reply for _, reply in every_reply(house, client))]:
        for line in reply.headers.get_list("set-cookie"):
            yield from (cookie for cookie in SimpleCookie(line).values() if cookie.value)


@pytest.mark.parametrize("method", CHANGING)
def test_nothing_changes_without_a_token(house: House, opened: Opened, method: str) -> None:
    for address in [*ADDRESSES, *ELSEWHERE, opened.path, f"{opened.path}/channels", f"{opened.path}/restart"]:
        for headers in ({}, {"X-XSRFToken": "wrong"}, {"X-XSRFToken": ""}, {"Content-Type": "text/plain"}):
            reply = opened.client.request(method, address, headers=headers, params={"_method": "DELETE"})
            assert reply.status_code in (403, 404, 405), (method, address)
    assert opened.ask("GET") == 200


def test_a_token_of_another_session_is_none(house: House, opened: Opened) -> None:
    with house.client(MEMBER) as member:
        member.get("organization")
        stolen = Opened(opened.client, opened.path, opened.kernel, member.cookies.get("_xsrf") or "none", {})
        assert stolen.ask("DELETE") == 403
    assert opened.ask("GET") == 200


ORIGINS = [
    "https://evil.example",
    "http://evil.example:{port}",
    "null",
    "http://127.0.0.1",
    "http://127.0.0.1.evil.example",
]
ORIGINS += ["file://", "http://localhost:{port}", "http://127.0.0.1:1", "http://evil@evil.example", "ftp://x"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_websocket_from_another_site_is_refused(house: House, opened: Opened, origin: str) -> None:
    foreign = origin.format(port=house.settings.port_of("dashboards"))
    with pytest.raises(InvalidStatus) as refused:
        opened.websocket(origin=foreign)
    assert refused.value.response.status_code == 403
    request = {"X-XSRFToken": opened.token, "Origin": foreign}
    assert opened.client.delete(opened.path, headers=request).status_code in (403, 404)
    opened.websocket(origin=house.origin).close()


@pytest.mark.parametrize("name", ["X-Forwarded-User", "Remote-User", "X-JupyterHub-User", "Authorization", "Cookie"])
def test_with_the_hubs_sign_in_too_a_header_makes_nobody(public: House, name: str) -> None:
    """Whoever brings a token that only the hub could judge gets in no more than others, while there is no hub."""
    headers = {name: {"Authorization": "token x", "Cookie": "service-dashboards=x; _xsrf=x"}.get(name, "ada")}
    for path in ("organization", "organization?token=x", KERNEL):
        assert httpx2.get(public.url(path), headers=headers).status_code in (302, 403, 500, 503)
    assert public.kernels() == []
