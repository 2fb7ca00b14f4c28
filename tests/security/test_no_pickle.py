"""Nothing we read can be an object in disguise, and nothing that is kept for later is kept without whose it is."""

import ast
import json
import pickletools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from security.world import OWNERS, PEOPLE, SEES, World, owners_in

CHECKOUT = Path(__file__).parent.parent.parent
PACKAGE = CHECKOUT / "agent_analytics"
LOADERS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "copyreg", "dbm"}
# Of modules that can do other things too: `recv` and `send` of a pipe, tables and arrays as pickles, YAML's objects.
METHODS = {"read_pickle", "to_pickle", "allow_pickle", "unsafe_load", "full_load", "recv", "HIGHEST_PROTOCOL"}
# Every function whose results are kept, and why they are nobody's: by what they are kept.
KEPT = {
    "rows.py:_moments": "times, by period and zone",
    "scans.py:_scan": "a statement's text without figures, by question and scope",
    "serving/tokens.py:_key": "the installation's key, by its home",
    "serving/oidc.py:_certificates": "the certificates that the operating system trusts",
    "serving/replies.py:_files": "the front end's files",
    "widgets/assets.py:text": "a file of the front end, by its name",
    "widgets/assets.py:manifest": "the names of the front end's files",
    "charts.py:_tokens": "colours of the charts",
}


def code() -> Iterator[tuple[Path, ast.AST]]:
    """All that we run: the package, the notebooks' cells, the scripts."""
    for path in [*PACKAGE.rglob("*.py"), *CHECKOUT.glob("benchmarks/**/*.py"), *CHECKOUT.glob("docs/*.py")]:
        yield path, ast.parse(path.read_text())
    for path in CHECKOUT.glob("dashboards/*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                yield path, ast.parse("".join(cell["source"]))


def names(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").split(".")[0], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.keyword):
            found.add(node.arg or "")
    return found


def test_no_code_of_ours_reads_or_writes_pickles() -> None:
    assert {(path.name, name) for path, tree in code() for name in names(tree) & (LOADERS | METHODS)} == set()


def is_pickle(data: bytes) -> bool:
    if not data.endswith(b"."):
        return False
    try:
        *_, last = pickletools.genops(data)
    except Exception:
        return False
    return last[0].name == "STOP" and last[2] == len(data) - 1


def test_nothing_that_the_processes_store_is_a_pickle(world: World) -> None:
    """After questions, lists, files and the audit: every file of the home."""
    assert is_pickle(b"\x80\x04K\x01.")
    assert not is_pickle(b"text.")
    world.get("admin", "/v1/export/runs.parquet")
    files = [path for path in world.settings.home.rglob("*") if path.is_file()]
    assert {"runs.duckdb"} <= {path.name for path in files}
    assert [path for path in files if is_pickle(path.read_bytes())] == []


def kept() -> set[str]:
    """Each function of ours whose results are kept by its arguments."""
    found = set()
    for path, tree in code():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                marks = {name for mark in node.decorator_list for name in _words(mark)}
                if marks & {"cache", "lru_cache", "cached"}:
                    found.add(f"{path.relative_to(PACKAGE)}:{node.name}")
    return found


def _words(node: ast.AST) -> set[str]:
    every = list(ast.walk(node))
    return {each.id for each in every if isinstance(each, ast.Name)} | {
        each.attr for each in every if isinstance(each, ast.Attribute)
    }


def test_what_is_kept_is_nobodys() -> None:
    """Anything new that is kept must be looked at, and stand here: by its arguments alone it must be nobody's."""
    assert kept() == set(KEPT)


def test_the_same_question_of_many_at_once_gives_each_their_own(world: World) -> None:
    """One engine, one statement kept for all, eight threads: whoever was served before leaves nothing."""
    asked = {"queries": [{"measures": ["runs", "cost"], "by": ["user"], "last": "7d"}]}

    def answered(role: str) -> set[str]:
        return owners_in(world.request(role, "POST", "/v1/query", json=asked).text)

    roles = [role for _ in range(20) for role in PEOPLE]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(answered, roles))
    assert len(OWNERS) == 9
    assert [(role, owners) for role, owners in zip(roles, found, strict=True) if owners != SEES[role]] == []
