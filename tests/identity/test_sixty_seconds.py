"""A change at the identity provider takes effect in every place within 60 seconds: by arithmetic, and by the clock."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from identity.whole import QUICK, Whole, visit

from agent_analytics.demo.people import PERSONAS
from agent_analytics.serving import dashboards, hub, rhythm

PERSONA = "acme-admin"


def revoked(whole: Whole) -> None:
    del whole.people[PERSONA]


def demoted(whole: Whole) -> None:
    whole.people[PERSONA] = replace(whole.people[PERSONA], role="MEMBER")


def moved(whole: Whole) -> None:
    whole.people[PERSONA] = replace(whole.people[PERSONA], organization="globex")


CHANGES = (revoked, demoted, moved)


@pytest.fixture(scope="module")
def _whole() -> Iterator[Whole]:
    with tempfile.TemporaryDirectory(prefix="aa-whole-") as home:
        Path(home).chmod(0o711)
        with Whole(Path(home), QUICK).running() as whole:
            yield whole


@pytest.fixture
def whole(_whole: Whole) -> Iterator[Whole]:
    yield _whole
    _whole.people.update({persona.key: persona for persona in PERSONAS})


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_ends_every_way_to_the_data(whole: Whole, change: Callable[[Whole], None]) -> None:
    """With the times shortened, so that the test does not wait a minute."""
    opened = visit(whole, PERSONA)
    change(whole)
    opened.ended(patience=30)


def test_the_times_add_up_to_less_than_sixty_seconds() -> None:
    assert max(rhythm.LONGEST.values()) <= rhythm.BOUND == 60
    assert rhythm.CHECK_PATIENCE < rhythm.SWEEP_PATIENCE < rhythm.SWEEP_EVERY
    assert hub.SECONDS_BETWEEN_CHECKS == rhythm.CHECK_EVERY <= 25
    assert dashboards.RENEW_SECONDS == rhythm.SWEEP_EVERY <= 10
    assert max(rhythm.REMEMBER, rhythm.BEARER) <= 10
    assert rhythm.TOKEN > rhythm.SWEEP_EVERY + rhythm.SWEEP_PATIENCE


@pytest.mark.full
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_measured_with_the_real_times(change: Callable[[Whole], None], record_property: Callable[..., None]) -> None:
    with tempfile.TemporaryDirectory(prefix="aa-whole-") as home:
        Path(home).chmod(0o711)
        with Whole(Path(home), {}).running() as whole:
            opened = visit(whole, PERSONA)
            opened.wait_for_a_check()
            change(whole)
            found = opened.ended(patience=90)
    print(change.__name__, found)
    record_property(change.__name__, str(found))
    assert max(found.values()) <= rhythm.BOUND
