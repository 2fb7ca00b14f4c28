"""Rights that cannot be checked: whoever reads is told since when and until when, also on a page that is open."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dashboards.conftest import marked
from dashboards.house import ADMIN, MEMBER, House
from playwright.sync_api import Page, expect

from agent_analytics.serving.rhythm import notice

NOW = datetime(2026, 3, 30, 12, 5, tzinfo=UTC)
WORDS = "Your rights could not be checked since"


@pytest.fixture
def unchecked(house: House) -> Iterator[Path]:
    """A file: while it is there, nobody's rights can be checked."""
    file = house.home / "unchecked"
    yield file
    file.unlink(missing_ok=True)


def test_the_notice_says_since_when_and_until_when() -> None:
    verified, until = NOW - timedelta(minutes=5), NOW + timedelta(minutes=10)
    assert notice(verified, until, NOW) == (
        "Your rights could not be checked since 12:00 UTC: the sign-in service cannot be reached. "
        "Until 12:15 UTC you can go on reading with the rights you had then."
    )
    assert notice(NOW - timedelta(seconds=60), until, NOW) == ""
    assert notice(NOW - timedelta(seconds=61), until, NOW) != ""


def test_an_open_page_is_told_and_told_when_it_is_over(house: House, unchecked: Path, page: Page) -> None:
    page.goto(house.entrance(ADMIN))
    marked(page, "aa-live")
    line = page.locator("#aa-notice")
    expect(line).to_be_hidden()
    unchecked.touch()
    expect(line).to_contain_text(WORDS, timeout=10_000)
    unchecked.unlink()
    expect(line).to_be_hidden(timeout=10_000)
    assert page.evaluate("violations") == []


def test_a_page_opened_meanwhile_says_it_before_any_script_runs(house: House, unchecked: Path) -> None:
    unchecked.touch()
    with house.client(ADMIN) as client:
        opened = client.get("organization").text
        assert WORDS in opened.partition("<main")[0]
        unchecked.unlink()
        assert WORDS not in client.get("organization").text


def test_who_is_refused_a_page_is_told_what_they_see(house: House) -> None:
    with house.client(MEMBER) as client:
        assert "You see your own runs because you are a member of acme." in client.get("organization").text
