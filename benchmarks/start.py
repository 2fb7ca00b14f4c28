"""How long the demo takes to its link, in an empty home and again, and what each process holds at rest."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil

from benchmarks.table import table

PORT = 28700
STARTS_AGAIN = 5
SECONDS_OF_REST = 20


@contextmanager
def demo(home: Path) -> Iterator[tuple[float, int]]:
    """A running demo: the seconds from the command to the printed link, and the command's process."""
    environment = {**os.environ, "AGENT_ANALYTICS_HOME": str(home), "AGENT_ANALYTICS_PORT": str(PORT)}
    start = time.perf_counter()
    command = [sys.executable, "-m", "agent_analytics.cli", "demo"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if f"http://127.0.0.1:{PORT}" in line:
            break
    try:
        yield time.perf_counter() - start, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def proportional_memory(command: int, home: Path) -> dict[str, int]:
    """Bytes (PSS) of each process of the installation, added up by name: what descends from the command, PostgreSQL."""
    found: dict[str, int] = {}
    ours = {process.pid for process in psutil.Process(command).children(recursive=True)} | {command}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if process.pid in ours or str(home) in " ".join(words):
                found[_name(words)] = found.get(_name(words), 0) + process.memory_full_info().pss
        except psutil.Error:
            continue
    return found


def _name(words: list[str]) -> str:
    if "serve" in words:
        return words[words.index("serve") + 1]
    if any("postgres" in word for word in words[:2]):
        return "postgres"
    if any("proxy" in word for word in words):
        return "proxy"
    if any("supervisor" in word for word in words):
        return "supervisord"
    if "demo" in words:
        return "demo (the command)"
    return "kernel" if any("ipykernel" in word for word in words) else "other"


def main() -> str:
    with tempfile.TemporaryDirectory(prefix="aa-bench-", dir="/tmp") as place:
        home = Path(place) / "home"
        Path(place).chmod(0o711)
        with demo(home) as (first, _):
            pass
        again = []
        for _ in range(STARTS_AGAIN):
            with demo(home) as (seconds, _):
                again.append(seconds)
        with demo(home) as (_, command):
            time.sleep(SECONDS_OF_REST)
            memory = proportional_memory(command, home)
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
