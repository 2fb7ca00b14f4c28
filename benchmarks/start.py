"""How long the demo takes to its link, in an empty home and again, and what each process holds at rest."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.table import table

PORT = 28700
STARTS_AGAIN = 5
SECONDS_OF_REST = 20


@contextmanager
def demo(home: Path) -> Iterator[float]:
    """A running demo; the seconds from the command to the printed link."""
    environment = {**os.environ, "AGENT_ANALYTICS_HOME": str(home), "AGENT_ANALYTICS_PORT": str(PORT)}
    start = time.perf_counter()
    command = [sys.executable, "-m", "agent_analytics.cli", "demo"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if f"http://127.0.0.1:{PORT}" in line:
            break
    try:
        yield time.perf_counter() - start
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def proportional_memory(home: Path) -> dict[str, int]:
    """Bytes (PSS) of each process of the installation, added up by name."""
    found: dict[str, int] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_text().split("\0")
            environment = (directory / "environ").read_bytes()
            rollup = (directory / "smaps_rollup").read_text()
        except OSError:
            continue
        name = _name(words)
        if name and (str(home).encode() in environment or str(home) in " ".join(words)):
            kilobytes = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
            found[name] = found.get(name, 0) + 1024 * int(kilobytes[1] if kilobytes else 0)
    return found


def _name(words: list[str]) -> str | None:
    if "serve" in words:
        return words[words.index("serve") + 1]
    if any("postgres" in word for word in words[:2]):
        return "postgres"
    if any(word.endswith("proxy.mjs") or "configurable-http-proxy" in word for word in words):
        return "proxy"
    if any("supervisor" in word for word in words):
        return "supervisord"
    if "demo" in words:
        return "demo (the command)"
    return "kernel" if any("ipykernel" in word for word in words) else None


def main() -> str:
    with tempfile.TemporaryDirectory(prefix="aa-bench-", dir="/tmp") as place:
        home = Path(place) / "home"
        Path(place).chmod(0o711)
        with demo(home) as first:
            pass
        again = []
        for _ in range(STARTS_AGAIN):
            with demo(home) as seconds:
                again.append(seconds)
        with demo(home):
            time.sleep(SECONDS_OF_REST)
            memory = proportional_memory(home)
    return "\n\n".join((_times(first, again), _memory(memory)))


def _times(first: float, again: list[float]) -> str:
    rows = [
        ("first start: an empty home, with 120 days of demo data made and taken in", f"{first:.1f}", "1"),
        ("again", f"{median(again):.1f} ({min(again):.1f}–{max(again):.1f})", str(len(again))),
    ]
    return table(("command to printed link, all routes ready", "seconds, median (range)", "n"), rows)


def _memory(memory: dict[str, int]) -> str:
    rows = [(name, f"{size / 1e6:.0f}") for name, size in sorted(memory.items(), key=lambda item: -item[1])]
    return table(("process at rest", "MB (PSS)"), [*rows, ("all", f"{sum(memory.values()) / 1e6:.0f}")])


if __name__ == "__main__":
    print(main())
