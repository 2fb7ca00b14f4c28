"""What a dashboard's kernel runs: IPython's kernel without the parts that a page has no use for."""

import sys

# Altair's validator would compile a grammar for IRIs at import, for a second, to check none.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

if __name__ == "__main__":
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance([*sys.argv[1:], "--HistoryManager.enabled=False", "--Completer.use_jedi=False"])
