"""The three real traces, taken in and asked on both engines, against their exact totals."""

import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.table import table

TRACES = {"metr": "metr.jsonl.gz", "aider": "aider.jsonl.gz", "azure": "azure.csv"}
PERIODS = {"metr": ("2024-10-01", "2025-01-31"), "aider": ("2025-06-01", "2026-05-31"), "azure": ("2023-11-16",) * 2}
MEASURES = ("runs", "succeeded", "failed", "input_tokens", "output_tokens", "cost", "duration_p95")


def run(home: Path, *words: str) -> str:
    environment = {**os.environ, "AGENT_ANALYTICS_HOME": str(home)}
    command = [sys.executable, "-m", "agent_analytics.cli", *words]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def main() -> str:
    shared = Path(os.environ.get("AGENT_ANALYTICS_SHARED") or Path(__file__).parents[2] / "shared") / "data" / "runs"
    expected = json.loads((shared / "expected.json").read_text(), parse_float=Decimal)
    with tempfile.TemporaryDirectory(prefix="aa-bench-", dir="/tmp") as place:
        home = Path(place) / "home"
        Path(place).chmod(0o711)
        run(home, "ingest", "runs", *(str(shared / file) for file in TRACES.values()))
        rows = [
            (
                name,
                engine,
                *(f"{asked(home, name, engine)[measure]}" for measure in MEASURES),
                equal(home, name, engine, expected[name]),
            )
            for name in TRACES
            for engine in ("cache", "record")
        ]
    return table(("trace", "engine", *MEASURES, "equal to the expected totals"), rows)


def asked(home: Path, name: str, engine: str) -> dict[str, Any]:
    first, last = PERIODS[name]
    words = ("--as", f"ORG_ADMIN:{name}", "--from", first, "--to", last, "--engine", engine, "--format", "json")
    return json.loads(run(home, "query", *MEASURES, *words), parse_float=Decimal)[0]


def equal(home: Path, name: str, engine: str, expected: dict[str, Any]) -> str:
    found = asked(home, name, engine)
    cost = Decimal(expected["cost"] or 0)
    wanted = (
        found["runs"] == expected["runs"],
        found["succeeded"] == expected["status"].get("succeeded", 0),
        found["failed"] == expected["status"].get("failed", 0),
        (found["input_tokens"], found["output_tokens"]) == (expected["input_tokens"], expected["output_tokens"]),
        (found["cost"] is None) == (expected["cost"] is None),
        abs((found["cost"] or 0) - cost) <= Decimal("1e-9") * expected["runs_with_cost"],
        found["duration_p95"] == (expected["duration"] or {}).get("p95"),
    )
    return "yes" if all(wanted) else "NO"


if __name__ == "__main__":
    print(main())
