"""The homes of people's own servers, and the accounts they belong to: one for each person, without rights elsewhere.

Beside a home lie the person's passes: the short-lived token and the database login of a running server. They are
ours, and the person's to read: in a home, what we write could be led elsewhere by its owner.
"""

import os
import shutil
from pathlib import Path

from agent_analytics.errors import ServiceError
from agent_analytics.serving import accounts
from agent_analytics.settings import Settings


def home_of(settings: Settings, name: str) -> Path:
    """The person's home, made at first use; its owner is the person's account, and is nobody else's ever after."""
    homes = settings.home / "people"
    homes.mkdir(mode=0o711, exist_ok=True)
    homes.chmod(0o711)
    home = homes / name
    if not home.exists():
        taken = [each.lstat().st_uid for each in homes.iterdir()]
        account = max([accounts.of_servers(settings)[0] - 1, *taken]) + 1
        if account not in accounts.of_servers(settings):
            raise ServiceError("Every account for people's servers is taken: remove homes that nobody needs any more.")
        draft = homes / f".{name}"
        draft.mkdir(mode=0o700, exist_ok=True)
        os.chown(draft, account, account)
        draft.rename(home)
    return home


def account_of(home: Path) -> int:
    return home.lstat().st_uid


def give_pass(settings: Settings, name: str, kind: str, text: str) -> None:
    """Write one of the person's passes, whole or not at all: a kernel may read at any time."""
    account, place = account_of(home_of(settings, name)), pass_of(settings, name, kind)
    _make(place.parents[1], 0o711, os.getuid())
    _make(place.parent, 0o750, account)
    draft = place.with_name(f".{kind}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as file:
        os.fchown(file.fileno(), os.getuid(), account)
        os.fchmod(file.fileno(), 0o640)
        file.write(text)
    draft.replace(place)


def pass_of(settings: Settings, name: str, kind: str) -> Path:
    return settings.home / "passes" / name / kind


def take_passes(settings: Settings, name: str) -> None:
    shutil.rmtree(settings.home / "passes" / name, ignore_errors=True)


def _make(directory: Path, mode: int, group: int) -> None:
    directory.mkdir(exist_ok=True)
    os.chown(directory, os.getuid(), group)
    directory.chmod(mode)
