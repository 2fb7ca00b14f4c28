"""One installation for all tests of signing in; each test has people and a browser of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from identity.installation import Installation

import left_behind
from agent_analytics.demo.people import PERSONAS


@pytest.fixture(scope="session")
def _installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="aa-identity-") as home, Installation(Path(home)).running() as running:
        yield running
        assert left_behind.told(Path(home)) == []


@pytest.fixture
def installation(_installation: Installation) -> Iterator[Installation]:
    """Everyone as the demo knows them, and a provider that tells the truth."""
    yield _installation
    _installation.people.update({persona.key: persona for persona in PERSONAS})
    _installation.provider.instead = {}
    _installation.ahead = 0.0
