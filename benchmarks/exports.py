"""How fast a million runs are exported over HTTP, under their asker's scope, cells made harmless.

A part of `python -m benchmarks.answers`. The largest organization's last 90 days as CSV and as Parquet, read as they
come; the API's memory is looked at every few blocks.
"""

import time
from datetime import timedelta

import httpx2
import psutil

from agent_analytics.scope import Principal
from agent_analytics.settings import Settings
from benchmarks import generator, platform
from benchmarks.table import table

TIMES = 3
DAYS = 90


def measure(settings: Settings, process: psutil.Process) -> str:
    """As a table: the median of some downloads of each kind."""
    rows = [(kind, *_median(settings, process, kind)) for kind in ("csv", "parquet")]
    return table(("export over HTTP", "runs", "seconds", "runs/s", "API's memory before", "at most"), rows)


def _median(settings: Settings, process: psutil.Process, kind: str) -> tuple[str, ...]:
    first = generator.END - timedelta(days=DAYS - 1)
    asked = {"from": first.isoformat(), "to": generator.END.isoformat()}
    headers = {"authorization": f"Bearer {platform.token(settings, Principal('ORG_ADMIN', generator.LARGEST))}"}
    with httpx2.Client(base_url=platform.address(settings), headers=headers, trust_env=False, timeout=300) as client:
        manifest = client.get("/v1/export/runs.manifest.json", params=asked).json()
        before = process.memory_full_info().pss
        taken = sorted(_download(client, f"/v1/export/runs.{kind}", asked, process) for _ in range(TIMES))
    seconds, most = taken[TIMES // 2][0], max(memory for _, memory in taken)
    runs = manifest["rows"]
    return f"{runs:,}", f"{seconds:.1f}", f"{runs / seconds:,.0f}", f"{before / 1e6:.0f} MB", f"{most / 1e6:.0f} MB"


def _download(client: httpx2.Client, path: str, asked: dict[str, str], process: psutil.Process) -> tuple[float, int]:
    start, most = time.perf_counter(), 0
    with client.stream("GET", path, params=asked) as response:
        response.raise_for_status()
        for number, _ in enumerate(response.iter_bytes(1 << 20)):
            if number % 64 == 0:
                most = max(most, process.memory_full_info().pss)
    return time.perf_counter() - start, most
