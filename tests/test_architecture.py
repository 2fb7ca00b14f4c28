"""The house keeps its order: imports go one way, frameworks stay in their rooms, functions and files stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "agent_analytics"
ORDER = (
    *("errors", "roles", "groups", "settings", "keys", "period", "tables", "migrations"),
    *("scope", "counting", "catalog", "query", "anonymous", "cubes", "compile", "scans"),
    *(
        "cursor",
        "store",
        "audit",
        "organizations",
        "feed",
        "cache_tables",
        "cache",
        "answer",
        "rows",
        "asking",
        "ranking",
        "privacy",
        "rounding",
        "what_changed",
    ),
    *("output", "export", "sql", "listing", "client", "sql_magic", "ingest"),
    *("figures", "series", "charts", "widgets", "page"),
    *("serving", "demo", "commands", "cli"),
)
ROOMS = {
    "jupyterhub": ("serving/hub", "serving/dashboards.py", "serving/lab_start.py"),
    "voila": ("serving/dashboards.py",),
    "fastapi": ("serving/api/",),
    "starlette": ("serving/api/", "demo/provider.py", "demo/forms.py"),
    "supervisor": ("serving/processes.py",),
    "altair": ("charts.py",),
    "duckdb": ("cache.py", "cache_tables.py", "serving/api/engines.py"),
    "alembic": ("migrations/",),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    if room(path) == "__init__":
        return
    later = ORDER[ORDER.index(room(path)) + 1 :]
    names = {name.split(".")[1] for name in imported(path) if name.startswith("agent_analytics.")}
    assert not names & set(later)


@pytest.mark.parametrize(("framework", "rooms"), ROOMS.items())
def test_a_framework_stands_behind_its_adapter(framework: str, rooms: tuple[str, ...]) -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(name.split(".")[0] == framework for name in imported(path))
    }
    assert {user for user in users if not user.startswith(rooms)} == set()


def test_the_demo_is_imported_by_the_commands_alone() -> None:
    users = {room(path) for path in MODULES if any(name.startswith("agent_analytics.demo") for name in imported(path))}
    assert users <= {"demo", "commands"}


def lengths() -> list[tuple[int, str]]:
    """The length of every function, with its name."""
    return [
        (node.end_lineno - node.lineno + 1, f"{path.name}:{node.name}")
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


def test_functions_are_short() -> None:
    ordered = sorted(lengths())
    assert ordered[len(ordered) // 2][0] <= 8
    assert ordered[len(ordered) * 9 // 10][0] <= 30
    assert ordered[-1][0] <= 60, ordered[-1]


def test_files_are_short() -> None:
    checkout = PACKAGE.parent
    files = [*MODULES, *checkout.glob("tests/**/*.py"), *checkout.glob("benchmarks/**/*.py")]
    assert [path.name for path in files if len(path.read_text().splitlines()) > 300] == []
