"""The homes of people's own servers, and the accounts they belong to: one for each person, without rights elsewhere."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from agent_analytics.settings import Settings

FIRST_ACCOUNT = 51_000


def home_of(settings: Settings, name: str) -> Path:
    """The person's home, made at first use; its owner is the person's account, and is nobody else's ever after."""
    homes = settings.home / "people"
    homes.mkdir(mode=0o711, exist_ok=True)
    homes.chmod(0o711)
    home = homes / name
    if not home.exists():
        taken = [each.lstat().st_uid for each in homes.iterdir()]
        account = max([FIRST_ACCOUNT - 1, *taken]) + 1
        draft = homes / f".{name}"
        draft.mkdir(mode=0o700, exist_ok=True)
        os.chown(draft, account, account)
        draft.rename(home)
    return home


def identity(home: Path) -> dict[str, Any]:
    """How a process becomes the account that a home belongs to, as Popen wants it told."""
    account = home.lstat().st_uid
    return {"user": account, "group": account, "extra_groups": []}


def end_all_of(home: Path) -> None:
    """End every process of the account, also those that left their parents."""
    account = home.lstat().st_uid
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if account in process.uids():
                process.kill()
