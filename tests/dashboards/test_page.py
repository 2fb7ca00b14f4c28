"""The organization's page as a reader sees it, in Chromium, over the real API and a real kernel."""

import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from dashboards.conftest import HOSTILE, WATCH, marked, wait
from dashboards.house import ADMIN, PREFIX, House
from playwright.sync_api import Browser, BrowserContext, Page, expect

from agent_analytics.client import Session
from agent_analytics.period import Last
from agent_analytics.query import Query
from agent_analytics.serving import tokens

CARDS = ("runs", "total_tokens", "cost", "success_rate", "duration_avg")


def totals(house: House, days: int) -> dict[str, Decimal]:
    """What the API itself says."""
    session = Session(house.api_url, lambda: tokens.issue(house.home, ADMIN, datetime.now(UTC)))
    (row,) = session.answer(Query(CARDS, period=Last(days))).records()
    return {name: Decimal(str(value)) for name, value in row.items()}


def shown(page: Page) -> dict[str, Decimal]:
    """What the cards carry."""
    return {name: Decimal(page.get_attribute(f"[data-measure={name}]", "data-value") or "NaN") for name in CARDS}


@pytest.fixture(scope="module")
def opened(house: House, browser: Browser) -> Iterator[Page]:
    """The page as it first stands; what goes wrong on the way is collected."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(WATCH)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if foreign(house, request.url) else None)
    page.goto(house.entrance(ADMIN))
    for mark in ("aa-cards", "aa-charts", "aa-live"):
        marked(page, mark)
    assert problems == []
    assert page.evaluate("violations") == []
    yield page
    assert problems == []
    context.close()


def foreign(house: House, url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https", "ws") and urlsplit(url).netloc != urlsplit(house.origin).netloc


def test_it_shows_what_the_api_says(house: House, opened: Page) -> None:
    assert shown(opened) == totals(house, 30)


def test_the_tables_end_with_the_cards_figures(opened: Page) -> None:
    for panel in ("cost-by-team", "cost-by-agent-type"):
        total = opened.locator(f"[data-panel={panel}] tfoot td").first
        cost = opened.locator("[data-measure=cost] .aa-figure")
        assert total.inner_text() == cost.inner_text()
        assert total.get_attribute("title") == cost.get_attribute("title")


def test_every_chart_is_drawn_live(opened: Page) -> None:
    assert opened.locator("[data-panel] .aa-chart svg").count() == opened.locator("[data-panel] .aa-chart").count() == 5


def test_it_says_which_days_in_whose_zone_how_fresh_and_why(opened: Page) -> None:
    status = opened.locator("[data-panel=status]").inner_text()
    assert re.search(r"\d+ \w{3}.* – \d+ \w{3} 20\d\d, Asia/Kathmandu", status)
    assert "Last updated" in status
    assert "You see all of acme because you administer it." in status


def test_names_that_mean_harm_are_only_text(opened: Page) -> None:
    names = opened.locator("[data-panel=cost-by-team] tbody th").all_inner_texts()
    assert set(HOSTILE) - {HOSTILE[4]} <= set(names)
    assert opened.evaluate("violations") == []
    assert opened.locator("main img").count() == 0


@pytest.mark.parametrize("width", [320, 768, 1440, 2560])
def test_no_width_scrolls_sideways(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 900})
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for chart in opened.locator(".aa-chart").all():
        wait(lambda chart=chart: chart.evaluate("(slot) => slot.scrollWidth <= slot.clientWidth + 1"), "too wide")


def test_what_assistive_technology_finds(opened: Page) -> None:
    assert opened.title() == "Organization · Agent Analytics"
    assert opened.get_attribute("html", "lang") == "en"
    for role in ("banner", "main"):
        expect(opened.get_by_role(role)).to_have_count(1)
    expect(opened.get_by_role("heading", level=1)).to_have_text("Organization")
    expect(opened.get_by_role("group", name="Period")).to_be_visible()
    summary = opened.locator("[role=img]").first.get_attribute("aria-label") or ""
    assert re.search(r"Runs: 30 bars, the highest [\d,]+ runs", summary)
    targets = opened.locator("a:visible, button:visible, summary, .aa-options label").all()
    sizes = [target.bounding_box() for target in targets if "aa-skip" not in (target.get_attribute("class") or "")]
    assert min(min(size["width"], size["height"]) for size in sizes if size) >= 24


def test_another_period_redraws_everything_by_keyboard_alone(house: House, opened: Page) -> None:
    opened.get_by_role("radio", name="30 days").focus()
    opened.keyboard.press("ArrowLeft")
    marked(opened, "aa-redrawn")
    assert shown(opened) == totals(house, 7)
    assert opened.locator("[data-panel=runs-per-day] tbody tr").count() == 7
    expect(opened.get_by_role("radio", name="7 days")).to_be_focused()
    expect(opened.locator("#aa-said")).to_contain_text("Now showing")
    expect(opened.locator("main")).to_have_attribute("aria-busy", "false")


def test_a_table_that_was_opened_stays_open(opened: Page) -> None:
    panel = opened.locator("[data-panel=runs-per-day]")
    panel.get_by_text("View as table").click()
    opened.get_by_role("radio", name="90 days").check(force=True)
    wait(lambda: panel.locator("tbody tr").count() == 90, "not redrawn")
    expect(panel.locator("table")).to_be_visible()


def test_dark_pages_have_dark_charts(opened: Page) -> None:
    def colours() -> set[str]:
        return set(
            opened.locator(".aa-chart .mark-rect path").evaluate_all("marks => marks.map(m => m.getAttribute('fill'))")
        )

    light = colours()
    opened.emulate_media(color_scheme="dark")
    wait(lambda: colours() and not colours() & light, "not recoloured")
    opened.emulate_media(color_scheme="light")


def test_a_page_without_its_api_says_so_and_recovers(house: House, context: BrowserContext, page: Page) -> None:
    house.stop("api")
    try:
        page.goto(house.entrance(ADMIN))
        marked(page, "aa-live")
        failed = page.locator("[data-panel][data-state=failed]")
        wait(lambda: failed.count() == 7, "no failed state")
        reference = failed.first.locator("code").inner_text()
        assert reference in house.log.read_text()
        assert "Traceback" not in page.content()
        assert house.api_url not in page.content()
    finally:
        house.start_api()
    page.get_by_role("button", name="Try again").first.click()
    wait(lambda: failed.count() == 0 and shown(page) == totals(house, 30), "did not recover")


def test_a_page_outlives_a_lost_connection(house: House, context: BrowserContext, page: Page) -> None:
    page.goto(house.entrance(ADMIN))
    marked(page, "aa-live")
    context.set_offline(True)
    page.evaluate("1")
    with page.expect_event("websocket") as reopened:
        house_closes_sockets(page)
        expect(page.locator("#aa-banner")).to_contain_text("Connection lost")
        page.get_by_role("radio", name="7 days").check(force=True)
        context.set_offline(False)
    assert PREFIX in reopened.value.url
    marked(page, "aa-redrawn")
    assert shown(page) == totals(house, 7)
    expect(page.locator("#aa-banner")).to_be_hidden()


def house_closes_sockets(page: Page) -> None:
    """Chromium keeps open websockets when it goes offline: close them as a network would."""
    page.evaluate("sockets.forEach((socket) => socket.close())")


def test_a_page_whose_kernel_was_killed_offers_to_start_again(house: House, page: Page) -> None:
    others = house.kernel_processes()
    page.goto(house.entrance(ADMIN))
    marked(page, "aa-live")
    (kernel,) = set(house.kernel_processes()) - set(others)
    os.kill(kernel, signal.SIGKILL)
    again = page.get_by_role("button", name="Start again")
    expect(again).to_be_visible(timeout=30_000)
    expect(page.get_by_role("radio", name="7 days")).to_be_disabled()
    again.click()
    marked(page, "aa-live")
    expect(page.locator("#aa-banner")).to_be_hidden()
