"""Names that are script, in every text of a run and of a person, on every page, in a browser with traps."""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dashboards.conftest import marked
from dashboards.house import House, answers, free_ports, wait_for
from playwright.sync_api import Browser, Page, Request
from security.payloads import OWN, listed

from agent_analytics.ingest import from_dicts
from agent_analytics.ingest.runs import ingest_runs
from agent_analytics.organizations import set_organization
from agent_analytics.scope import Principal
from agent_analytics.serving import postgres
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from chromium import chromium
from given import a_run

A_PAGE = 20
# What no name may bring into a page: an element that it names, or an attribute that runs.
INJECTED = """() => [...document.querySelectorAll("*:not(#aa-state)")].filter((element) =>
  ["SCRIPT", "IFRAME", "OBJECT", "EMBED", "BASE", "META", "LINK", "STYLE", "FORM", "IMG", "MATH", "ANIMATE"]
    .includes(element.tagName.toUpperCase()) && element.outerHTML.match(/alert|evil|src=.?x\\b|prompt|confirm/i)
  || [...element.attributes].some(({ name, value }) =>
    name.startsWith("on") || (/^(href|src|action|formaction|data)$/.test(name) && /^\\s*javascript:/i.test(value))))
  .map((element) => element.outerHTML.slice(0, 200))"""


TEXTS = "() => [...document.body.querySelectorAll('*')].map((element) => element.textContent)"


@pytest.fixture(scope="module")
def house(scratch: Path) -> Iterator[House]:
    home = scratch / "hostile"
    settings = Settings(home=home)
    with postgres.running(settings) as url:
        postgres.migrate(settings)
        house = House(home, url, free_ports(7))
        house.start_api()
        house.start_service()
        yield house
        house.stop_all()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def runs(organization: str, names: Sequence[str]) -> Iterator[dict[str, object]]:
    """As many runs as names, each name in each text field of one of them."""
    started = datetime.now(UTC) - timedelta(hours=30)
    for number in range(len(names)):
        text = [names[(number + field) % len(names)] for field in range(9)]
        yield a_run(
            text[0],
            organization=organization,
            team=text[1],
            agent_type=text[2],
            model=text[3],
            model_version=text[4],
            user=text[5],
            error_category=text[6],
            error_message=text[7],
            attributes={text[8]: text[8]},
            status="failed",
            started_at=started.isoformat(),
        )


def show(house: House, page: Page, organization: str, names: Sequence[str]) -> None:
    """Take the names in, and look at them as a person of such a name."""
    with Record(house.database_url, house.home) as record:
        set_organization(record, organization, name=next(filter(str.isprintable, names)))
        assert ingest_runs(record, [from_dicts("given", runs(organization, names))]).rejected == 0
    since = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    wait_for(lambda: answers(f"{house.api_url}/health/ready?since={since}", 200), house.log)
    page.goto(house.entrance(Principal("ORG_ADMIN", organization, names[0], email=names[-1], name=names[0])))
    marked(page, "aa-live")
    assert page.evaluate(INJECTED) == []
    assert set(names) - set(page.evaluate(TEXTS)) == set()
    page.goto(house.url("static/nothing"))


def trapped(house: House, page: Page) -> list[str]:
    """What the page is made to do, from now on: dialogs, requests elsewhere, what its policy forbids."""
    found: list[str] = []
    ours = urlsplit(house.origin)[:2]

    def look(request: Request) -> None:
        if urlsplit(request.url)[:2] != ours and not request.url.startswith(("data:image/svg", "blob:")):
            found.append(f"request {request.url}")

    page.on("dialog", lambda dialog: (found.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda popup: found.append(f"popup {popup.url}"))
    page.on("download", lambda download: found.append(f"download {download.url}"))
    page.on("console", lambda said: found.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("request", look)
    return found


def in_pages(names: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    for start in range(0, len(names), A_PAGE):
        yield f"x{start}", names[start : start + A_PAGE]


def test_names_of_our_own_are_text_and_nothing_else(house: House, browser: Browser) -> None:
    page = browser.new_page()
    found = trapped(house, page)
    for organization, names in in_pages(OWN):
        show(house, page, organization, names)
    assert found == []
    page.close()


def test_people_of_such_names_are_greeted_by_them(house: House, browser: Browser) -> None:
    page = browser.new_page()
    found = trapped(house, page)
    for name in OWN:
        page.goto(house.entrance(Principal("MEMBER", "acme", name, name=name, email=name)))
        assert page.evaluate(INJECTED) == []
        assert name in page.evaluate(TEXTS)
    assert found == []
    page.close()


def test_the_traps_would_notice(house: House, browser: Browser) -> None:
    page = browser.new_page()
    found = trapped(house, page)
    page.set_content(
        "<img src=x onerror=alert(1)><a href='javascript:alert(1)'>a</a><iframe src='https://evil.invalid'>"
    )
    wait_for(lambda: {each.split()[0] for each in found} >= {"dialog", "request"})
    assert len(page.evaluate(INJECTED)) == 3
    page.close()


@pytest.mark.full
def test_every_listed_name_is_text_and_nothing_else(house: House, browser: Browser, shared: Path) -> None:
    names = [name for name in listed(shared) if not any(unicodedata.category(each) in ("Cc", "Cs") for each in name)]
    assert len(names) > 6000
    for organization, some in in_pages(names):
        page = browser.new_page()
        found = trapped(house, page)
        show(house, page, f"l{organization}", some)
        assert found == []
        page.close()
