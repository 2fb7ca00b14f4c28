"""The documentation tells the truth: its tables come from the registries, its links lead somewhere."""

import re
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
sys.path.insert(0, str(CHECKOUT / "docs"))
import generate  # noqa: E402


@pytest.mark.parametrize("page", generate.pages(), ids=lambda page: page.name)
def test_tables_are_up_to_date(page: Path) -> None:
    assert page.read_text() == generate.filled(page.read_text()), "Run: make docs-tables"


@pytest.mark.parametrize("page", [CHECKOUT / "README.md", *generate.pages()], ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_measure_and_dimension_explains_itself() -> None:
    for each in (*generate.MEASURES.values(), *generate.DIMENSIONS.values()):
        assert each.label
        assert each.help.endswith((".", "*."))
