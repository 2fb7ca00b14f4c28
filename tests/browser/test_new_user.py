"""A new user's path: one command in an empty home, sign-in, the organization's figures on the screen."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from chromium import chromium

CARDS = ("runs", "total_tokens", "cost")


@dataclass(frozen=True)
class Demo:
    """A running demo: its home, its origin, and the command that keeps it."""

    home: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    def page(self, name: str) -> str:
        return f"{self.origin}/services/dashboards/{name}"


def environment(home: Path, port: int) -> dict[str, str]:
    return {**os.environ, "AGENT_ANALYTICS_HOME": str(home), "AGENT_ANALYTICS_PORT": str(port)}


def start(home: Path, port: int) -> Demo:
    """`agent-analytics demo`, up to its printed link."""
    command = [sys.executable, "-m", "agent_analytics.cli", "demo"]
    process = subprocess.Popen(command, env=environment(home, port), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if f"http://localhost:{port}" in line:
            return Demo(home, port, process)
    pytest.fail("The demo printed no link: " + "".join(printed))


def stop(demo: Demo) -> int:
    demo.process.send_signal(signal.SIGINT)
    return demo.process.wait(60)


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody listens on."""
    while True:
        first = random.randrange(20000, 32000)
        if all(_free(first + offset) for offset in range(count)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def demo(scratch: Path) -> Iterator[Demo]:
    running = start(scratch / "demo", free_ports(8))
    yield running
    if running.process.poll() is None:
        stop(running)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def sign_in(browser: Browser, demo: Demo, persona: str, path: str = "organization") -> Page:
    page = browser.new_context().new_page()
    page.goto(demo.page(path))
    page.click(f"[data-persona={persona}]")
    return page


def marked(page: Page, mark: str) -> None:
    """Poll by hand: the page's policy forbids what Playwright's own waiting evaluates in it."""
    deadline = time.monotonic() + 60
    while not page.evaluate("mark => performance.getEntriesByName(mark).length", mark):
        assert time.monotonic() < deadline, f"The page never set {mark}."
        page.wait_for_timeout(50)


def shown(page: Page) -> dict[str, Decimal]:
    """The exact values that the cards carry."""
    return {name: Decimal(page.get_attribute(f"[data-measure={name}]", "data-value") or "NaN") for name in CARDS}


def asked(demo: Demo, *words: str) -> list[dict[str, Any]]:
    """What `agent-analytics query` says."""
    command = [sys.executable, "-m", "agent_analytics.cli", "query", *words, "--format", "json"]
    run = subprocess.run(command, env=environment(demo.home, demo.port), capture_output=True, text=True, check=True)
    return json.loads(run.stdout, parse_float=Decimal)


def totals(demo: Demo, days: int) -> dict[str, Decimal]:
    (row,) = asked(demo, *CARDS, "--as", "ORG_ADMIN:acme", "--last", f"{days}d")
    return {name: Decimal(value) for name, value in row.items()}


def between(before: dict[str, Decimal], now: dict[str, Decimal], after: dict[str, Decimal]) -> bool:
    """New runs come in while the test looks: what is shown lies between two answers, or equals both."""
    return all(before[name] <= now[name] <= after[name] for name in CARDS)


def test_the_organizations_figures_are_on_the_screen(demo: Demo, browser: Browser) -> None:
    before = totals(demo, 30)
    page = sign_in(browser, demo, "acme-admin")
    marked(page, "aa-cards")
    marked(page, "aa-charts")
    assert between(before, shown(page), totals(demo, 30))
    teams = page.locator("[data-panel=cost-by-team]").inner_text()
    for team in ("Platform", "Payments"):
        assert team in teams
    assert page.locator("[data-panel] canvas, [data-panel] svg").count() >= 4
    page.context.close()


def test_another_range_redraws_every_figure(demo: Demo, browser: Browser) -> None:
    page = sign_in(browser, demo, "acme-admin")
    marked(page, "aa-live")
    month = shown(page)
    before = totals(demo, 7)
    page.get_by_role("radio", name=re.compile("^7")).check(force=True)
    marked(page, "aa-redrawn")
    assert between(before, shown(page), totals(demo, 7))
    assert shown(page)["runs"] < month["runs"]
    page.context.close()


@pytest.mark.parametrize("persona", ["acme-lead", "acme-engineer", "globex-engineer", "platform-admin"])
def test_others_are_told_that_they_may_not(demo: Demo, browser: Browser, persona: str) -> None:
    page = sign_in(browser, demo, persona)
    page.wait_for_url("**/services/dashboards/organization")
    response = page.reload()
    assert response is not None
    assert response.status == 403
    assert page.locator("[data-measure]").count() == 0
    assert page.get_by_role("heading").count() >= 1
    page.context.close()


def kernel_of(page: Page) -> str:
    """The id of the page's kernel, as its websocket names it."""
    with page.expect_websocket() as opened:
        page.reload()
    found = re.search(r"/api/kernels/([\w-]+)/channels", opened.value.url)
    assert found
    return found[1]


def refusals(context: BrowserContext, demo: Demo, kernel: str) -> dict[str, int]:
    """What a signed-in person gets who reaches for a kernel, with a valid XSRF token of their own."""
    cookies = {cookie["name"]: cookie["value"] for cookie in context.cookies(demo.page("api/kernels"))}
    headers = {
        "X-XSRFToken": cookies["_xsrf"],
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
    }
    url = demo.page(f"api/kernels/{kernel}")
    return {
        "GET": httpx2.get(url, headers=headers).status_code,
        "DELETE": httpx2.delete(url, headers={**headers, "Referer": demo.page("organization")}).status_code,
        "websocket": websocket_status(url.replace("http", "ws", 1) + "/channels", headers["Cookie"], demo.origin),
    }


def websocket_status(url: str, cookie: str, origin: str) -> int:
    try:
        with connect(url, additional_headers={"Cookie": cookie}, origin=origin, proxy=None):  # type: ignore[arg-type]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("persona", ["globex-engineer", "globex-admin", "acme-engineer"])
def test_nobody_reaches_anothers_kernel(demo: Demo, browser: Browser, persona: str) -> None:
    owner = sign_in(browser, demo, "acme-admin")
    marked(owner, "aa-live")
    kernel = kernel_of(owner)
    marked(owner, "aa-live")
    stranger = sign_in(browser, demo, persona)
    stranger.wait_for_url("**/services/dashboards/organization")
    assert refusals(stranger.context, demo, kernel) == {"GET": 403, "DELETE": 403, "websocket": 403}
    own = refusals(owner.context, demo, kernel)
    assert (own["GET"], own["DELETE"]) == (200, 204)
    for page in (owner, stranger):
        page.context.close()


def test_ctrl_c_leaves_no_process_and_the_next_start_keeps_the_data(demo: Demo, browser: Browser) -> None:
    page = sign_in(browser, demo, "acme-admin")
    marked(page, "aa-live")
    before = totals(demo, 90)
    assert stop(demo) == 0
    assert left(demo.home) == []
    again = start(demo.home, demo.port)
    try:
        page.goto(demo.page("organization"))
        marked(page, "aa-charts")
        assert totals(again, 90)["runs"] >= before["runs"]
    finally:
        assert stop(again) == 0
    assert left(demo.home) == []


def left(home: Path) -> list[str]:
    """The command lines of processes that still belong to the installation."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes()
            surroundings = words + (directory / "environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in surroundings:
            found.append(words.replace(b"\0", b" ").decode())
    return found
