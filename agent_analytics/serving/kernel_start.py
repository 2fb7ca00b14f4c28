"""What a dashboard's kernel runs: IPython's kernel without the parts that a page has no use for.

Started as a script: before anything else is imported, the process gives up what it could become and use up.
"""

import ctypes
import resource
import sys
from typing import Any

OWN_ACCOUNT = "--own-account"
CONTROL = "jupyter.widget.control"
MEMORY_BYTES = 2 << 30
PROCESSES = 512
_NO_NEW_PRIVILEGES = 38


def confine(own_account: bool, memory: int | None = MEMORY_BYTES) -> None:
    """For good: no privileges by another program, no dumps, so much memory; of an own account so many processes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    limits = {resource.RLIMIT_CORE: 0}
    if memory is not None:
        limits[resource.RLIMIT_DATA] = memory
    if own_account:
        limits[resource.RLIMIT_NPROC] = PROCESSES
    for limit, most in limits.items():
        before = resource.getrlimit(limit)[1]
        bound = most if before == resource.RLIM_INFINITY else min(most, before)
        resource.setrlimit(limit, (bound, bound))


def close_comms(handlers: dict[str, Any]) -> None:
    """A browser makes no widgets: the one comm it may open is that which asks for the states of all."""
    opened = handlers["comm_open"]

    def open_known(stream: Any, ident: Any, message: dict[str, Any]) -> None:
        if message["content"].get("target_name") == CONTROL:
            opened(stream, ident, message)

    handlers["comm_open"] = open_known


def main(words: list[str]) -> None:
    """Run until the service ends it."""
    # Altair's validator would compile a grammar for IRIs at import, for a second, to check none.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize([*words, "--HistoryManager.enabled=False", "--Completer.use_jedi=False"])
    close_comms(app.kernel.shell_handlers)
    app.start()


if __name__ == "__main__":
    confine(OWN_ACCOUNT in sys.argv)
    main([word for word in sys.argv[1:] if word != OWN_ACCOUNT])
