"""What an installation leaves behind must tell nothing: no tenant's data outside the databases, no key outside keys."""

from collections.abc import Iterator
from pathlib import Path

CANARY = b"canary-of-"
# Where data belong: the record, the cache, and what the tests themselves put down.
KEPT = {"postgres", "cache", "embedded", "debian", "given"}


def told(home: Path) -> list[str]:
    """Files that hold what they must not: a canary, or one of the installation's own secrets."""
    secrets = {path: path.read_bytes() for path in home.rglob("keys/*") if path.is_file() and path.stat().st_size > 16}
    return [
        f"{path} holds {what}"
        for path in _files(home)
        for what in _held(path.read_bytes(), {} if path.parent.name == "keys" else secrets)
    ]


def _files(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir() and path.name not in KEPT:
            yield from _files(path)
        elif path.is_file():
            yield path


def _held(content: bytes, secrets: dict[Path, bytes]) -> Iterator[str]:
    if CANARY in content:
        yield "a canary"
    yield from (f"the secret {path.name}" for path, secret in secrets.items() if secret.strip() in content)
