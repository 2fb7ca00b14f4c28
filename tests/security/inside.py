"""Code that runs inside a kernel, as the author of a notebook could write it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dashboards.house import House, Opened
from jupyter_client import BlockingKernelClient


@contextmanager
def inside(house: House, opened: Opened) -> Iterator[BlockingKernelClient]:
    """A client of the page's kernel that may send it anything: it has the key that only the service and it have."""
    client = BlockingKernelClient()
    client.load_connection_file(str(house.home / "kernels" / opened.kernel / "kernel.json"))
    client.start_channels(hb=False, stdin=False)
    try:
        client.wait_for_ready(timeout=30)
        yield client
    finally:
        client.stop_channels()


def run(client: BlockingKernelClient, code: str) -> Any:
    """What the code leaves in `found`, or how it failed."""
    said: list[dict[str, Any]] = []
    client.execute_interactive(
        f"{code}\nimport json; print('found=' + json.dumps(found))",
        store_history=False,
        timeout=60,
        output_hook=said.append,
    )
    text = "".join(one["content"].get("text", "") for one in said if one["msg_type"] == "stream")
    failed = [one["content"]["evalue"] for one in said if one["msg_type"] == "error"]
    assert not failed, failed
    return json.loads(text.partition("found=")[2])
