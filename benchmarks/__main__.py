"""`make bench`: runs every benchmark, or those named, and writes its table into docs/benchmarks.md."""

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.table import machine

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BENCHMARKS = ("start", "ingest", "traces", "answers", "row_security")


def main(names: list[str]) -> None:
    for name in names or BENCHMARKS:
        result = import_module(f"benchmarks.{name}").main()
        print(result, flush=True)
        PAGE.write_text(_with(PAGE.read_text(), name, f"{result}\n\nMeasured {machine()}"))


def _with(page: str, name: str, result: str) -> str:
    """The page with what stands between this benchmark's markers made anew."""
    start, end = f"<!-- bench: {name} -->\n", "\n<!-- end -->"
    before, rest = page.split(start, 1)
    return before + start + result + end + rest.split(end, 1)[1]


if __name__ == "__main__":
    main(sys.argv[1:])
