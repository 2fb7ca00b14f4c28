"""Writes the tables of the reference pages from the registries: `make docs-tables`. A test fails where one is stale."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from agent_analytics.audit import ACTIONS, VIAS
from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.scope import ROLES
from agent_analytics.serving.api.app import described
from agent_analytics.settings import PREFIX, Settings

DOCS = Path(__file__).parent
GOOD = {"up": "more is better", "down": "less is better", "neither": "–"}


def measures() -> str:
    rows = [
        (f"`{each.name}`", each.label, each.unit, GOOD[each.good], _roles(each.roles), each.help)
        for each in MEASURES.values()
    ]
    return table(("Name", "Label", "Unit", "Direction", "Roles", "Meaning"), rows)


def _roles(roles: tuple[str, ...]) -> str:
    """Who may ask."""
    return "all" if roles == ROLES else ", ".join(f"`{role}`" for role in roles)


def dimensions() -> str:
    return table(
        ("Name", "Label", "Meaning"), [(f"`{each.name}`", each.label, each.help) for each in DIMENSIONS.values()]
    )


def settings() -> str:
    rows = [
        (f"`{PREFIX}{each.name.upper()}`", _default(each.default), each.metadata["help"]) for each in fields(Settings)
    ]
    return table(("Variable", "Default", "Meaning"), rows)


def _default(value: object) -> str:
    return "–" if value is None else f"`{value}`"


def routes() -> str:
    """From the API's own OpenAPI document."""
    rows = [
        (f"`{method.upper()} {path}`", f"{told['summary']}.", ", ".join(_asked(told)) or "–", ", ".join(_given(told)))
        for path, methods in described().state.document["paths"].items()
        for method, told in methods.items()
    ]
    return table(("Route", "What", "Parameters", "Returns"), rows)


def _asked(told: dict[str, Any]) -> list[str]:
    named = [f"`{each['name']}`" for each in told.get("parameters", ()) if each["in"] == "query"]
    return [*named, *(["a JSON body"] if "requestBody" in told else [])]


def _given(told: dict[str, Any]) -> list[str]:
    return [f"`{kind}`" for kind in told["responses"]["200"]["content"]]


def actions() -> str:
    return table(("Action", "Written when"), [(f"`{name}`", help) for name, help in ACTIONS.items()])


def vias() -> str:
    return table(
        ("`via`", "Who acted"), [(f"`{name}`", f"{help[0].upper()}{help[1:]}.") for name, help in VIAS.items()]
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(list(head)), *map(list, rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "measures": measures,
    "dimensions": dimensions,
    "settings": settings,
    "routes": routes,
    "actions": actions,
    "vias": vias,
}


def filled(text: str) -> str:
    """The page with each table between its two markers made anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- table: {name} -->\n", "\n<!-- end -->"
        if start in text:
            before, rest = text.split(start, 1)
            text = before + start + make() + end + rest.split(end, 1)[1]
    return text


def pages() -> list[Path]:
    return sorted(DOCS.glob("*.md"))


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text()))
