"""A house of their own for the tests of kernels and pages, to break what they like; and a world for the API's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboards.conftest import furnished
from dashboards.house import ADMIN, House, Opened
from security.world import world

__all__ = ["world"]


@pytest.fixture(scope="session")
def house(scratch: Path) -> Iterator[House]:
    with furnished(scratch / "keep") as house:
        yield house


@pytest.fixture(scope="module")
def opened(house: House) -> Iterator[Opened]:
    """A page of acme's admin, open for the whole module."""
    with house.client(ADMIN) as client:
        opened = house.open(client)
        yield opened
        opened.ask("DELETE")
