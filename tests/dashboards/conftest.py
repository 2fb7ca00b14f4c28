"""One house for all tests of the pages, and a browser to look at it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dashboards.house import House, free_ports
from playwright.sync_api import Browser, BrowserContext, Page

from agent_analytics.organizations import set_organization
from agent_analytics.serving import postgres
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from chromium import chromium
from given import a_run, ingest

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
  violations.push(`${effectiveDirective} ${blockedURI}`));
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...asked) { super(...asked); sockets.push(this); }
};
window.alert = window.confirm = window.prompt = () => violations.push("a dialog");
"""
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "{{7*7}}${7*7}#{7*7}",
    "' onmouseover='alert(1)",
    "مرحبا \u202e reversed",
    "🦀🚀 crabs",
    "Other",
    "Unattributed",
    "W" * 200,
)


@pytest.fixture(scope="session")
def house(scratch: Path) -> Iterator[House]:
    with furnished(scratch / "house") as house:
        yield house


@contextmanager
def furnished(home: Path) -> Iterator[House]:
    """A house with people in it, and everything running."""
    settings = Settings(home=home)
    with postgres.running(settings) as url:
        postgres.migrate(settings)
        with Record(url, home) as record:
            _fill(record, datetime.now(UTC))
        house = House(home, url, free_ports(7))
        house.start_api()
        house.start_service()
        yield house
        house.stop_all()


def _fill(record: Record, now: datetime) -> None:
    """acme: a run an hour for forty days, by people of teams whose names mean harm; globex: one canary."""
    set_organization(record, "acme", timezone="Asia/Kathmandu")
    ingest(record, (_acme(number, now) for number in range(40 * 24)))
    started = (now - timedelta(hours=1)).isoformat()
    ingest(record, [a_run("x", organization="globex", team="canary-of-globex", started_at=started, ended_at=None)])


def _acme(number: int, now: datetime) -> dict[str, object]:
    team = HOSTILE[number % (len(HOSTILE) + 1)] if number % (len(HOSTILE) + 1) < len(HOSTILE) else None
    started = now - timedelta(hours=number)
    return a_run(
        f"run-{number}",
        team=team,
        agent_type=("review", "test")[number % 2],
        started_at=started.isoformat(),
        ended_at=(started + timedelta(seconds=number)).isoformat(),
        status="failed" if number % 7 == 0 else "succeeded",
        input_cost=f"0.00{number:07}",
        output_cost="0",
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor's browser, which notes what the pages' policy forbids, and dialogs."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(WATCH)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def marked(page: Page, mark: str) -> None:
    """Wait until the page has set this performance mark."""
    wait(lambda: page.evaluate("mark => performance.getEntriesByName(mark).length", mark), f"{mark} was not set")


def wait(condition: Callable[[], object], complaint: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)
