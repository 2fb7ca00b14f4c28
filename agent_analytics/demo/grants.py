"""What the demo's sign-in remembers over a restart: who signed in, and which refresh token is the next good one."""

import hashlib
import os
import secrets
import sqlite3
from pathlib import Path

SCHEMA = """
create table if not exists grants (family text primary key, persona text not null, begun real not null) strict;
create table if not exists refresh_tokens (
    digest text primary key,
    family text not null references grants on delete cascade,
    used integer not null default 0
) strict;
"""
DAYS = 30


class Grants:
    """One row a sign-in, one a refresh token; of a token only its digest is kept."""

    def __init__(self, path: Path, now: float) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("pragma foreign_keys = on")
        self._database.executescript(SCHEMA)
        self._database.execute("delete from grants where begun < ?", [now - DAYS * 86400])

    def begin(self, persona: str, now: float) -> str:
        """A sign-in of a persona: the name of its family of tokens."""
        family = secrets.token_hex(16)
        self._database.execute("insert into grants values (?, ?, ?)", [family, persona, now])
        return family

    def persona(self, family: str) -> str | None:
        """Whose sign-in this is, while it lasts."""
        row = self._database.execute("select persona from grants where family = ?", [family]).fetchone()
        return row and row[0]

    def refresh_token(self, family: str) -> str:
        """A new token for one use."""
        token = secrets.token_urlsafe(32)
        self._database.execute("insert into refresh_tokens values (?, ?, 0)", [_digest(token), family])
        return token

    def use(self, token: str) -> str | None:
        """The family of a token that was not used before. One used twice was stolen from somebody: its family ends."""
        row = self._database.execute(
            "update refresh_tokens set used = used + 1 where digest = ? returning family, used", [_digest(token)]
        ).fetchone()
        if row and row[1] > 1:
            self.end(row[0])
        return row[0] if row and row[1] == 1 else None

    def family(self, token: str) -> str | None:
        """The sign-in that a refresh token came from, used or not."""
        row = self._database.execute("select family from refresh_tokens where digest = ?", [_digest(token)]).fetchone()
        return row and row[0]

    def end(self, family: str) -> None:
        """No token of this sign-in is good any more."""
        self._database.execute("delete from grants where family = ?", [family])

    def close(self) -> None:
        self._database.close()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
