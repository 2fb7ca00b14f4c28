"""The installation's own secrets: files below `<home>/keys`, made at first use, readable by their owner alone."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def secret(home: Path, name: str, make: Callable[[], str] = lambda: secrets.token_hex(32)) -> str:
    """The secret called `name`, made by `make` where there is none yet."""
    path = home / "keys" / name
    try:
        return path.read_text()
    except FileNotFoundError:
        return _create(path, make())


def _create(path: Path, text: str) -> str:
    """Write whole or not at all; of two who create at once, one wins and both get its text."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()
