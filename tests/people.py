"""People who may write SQL, and rows that they must never see, each marked so that it is noticed anywhere."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa

from agent_analytics import migrations
from agent_analytics.scope import Principal
from agent_analytics.serving import logins
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import a_run, ingest

ADMIN = Principal("ORG_ADMIN", "acme", user="root")
LEAD = Principal("TEAM_LEAD", "acme", user="ada", teams=("Search", "Pay'ments"))
FOREIGN = {ADMIN: ("canary", "987654"), LEAD: ("canary", "987654", "otter", "76543")}
TOTALS = "select count(*), sum(cost), count(distinct organization), count(distinct team) from analytics.runs"
# What a person tries first: everything that was set by courtesy can be set back.
LIFTED = ("set default_transaction_read_only = off", "set statement_timeout = 0")


def close(settings: Settings) -> None:
    """What `migrate` takes from everyone, in a database that was copied from a migrated one: it forgot a part."""
    assert settings.database_url
    engine = sa.create_engine(sa.make_url(settings.database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        migrations.close_to_everyone(connection)
    engine.dispose()


def canaries(settings: Settings, record: Record) -> None:
    """acme with two teams of the lead, runs of the lead elsewhere, others' teams (otter); and globex (canary)."""
    close(settings)
    teams = ["Search", "Pay'ments", "Search", "otter-team", None]
    people = ["bo", "ada", "bo", "otter-user", "otter-user"]
    for number in range(40):
        team, user, hidden = teams[number % 5], people[number % 5], number % 5 > 2
        mark = {"agent_type": "otter-type", "cost": "76543.25", "error_message": "otter"} if hidden else {"cost": "1.5"}
        ingest(record, [a_run(f"acme-{'otter-' * hidden}{number}", team=team, user=user, **_priced(mark))])
    ingest(record, [a_run("acme-elsewhere", team="Own-elsewhere", user="ada", **_priced({"cost": "0.25"}))])
    ingest(record, (_canary(number) for number in range(60)))


def _canary(number: int) -> dict[str, Any]:
    names = {"user": "canary-user", "team": "canary-team", "agent_type": "canary-type", "error_message": "canary"}
    more = {"model": "canary-model", "attributes": {"note": "canary"}, **_priced({"cost": "987654.125"})}
    return a_run(f"canary-{number}", organization="globex", **names, **more)


def _priced(fields: dict[str, Any]) -> dict[str, Any]:
    return {"input_cost": None, "output_cost": None, **fields}


@dataclass
class Outcome:
    """What a person learned: rows, notices, an error."""

    rows: list[Any] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    error: psycopg.Error | None = None

    @property
    def last(self) -> Any:
        return self.rows[-1] if self.rows else None

    def __str__(self) -> str:
        return f"{self.rows} {self.notices} {self.error} {self.error and self.error.diag.message_detail}"


def login_of(settings: Settings, principal: Principal, seconds: float = 600) -> logins.Login:
    assert settings.database_url
    return logins.issue(settings.database_url, principal, datetime.now(UTC), seconds)


@contextmanager
def connect(settings: Settings, login: logins.Login) -> Iterator[psycopg.Connection[Any]]:
    """A session that may be ended from outside."""
    with closing(psycopg.connect(login.url(settings), autocommit=True)) as connection:
        yield connection


def attempt(settings: Settings, login: logins.Login, statements: Sequence[str]) -> Outcome:
    """All of them in one session, after the courtesies are lifted, up to the first error."""
    outcome = Outcome()
    with connect(settings, login) as connection:
        connection.add_notice_handler(lambda told: outcome.notices.append(str(told.message_primary)))
        try:
            for statement in (*LIFTED, *statements):
                outcome.rows += _executed(connection, statement)
        except psycopg.Error as error:
            outcome.error = error
    return outcome


def _executed(connection: psycopg.Connection[Any], statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        if statement.startswith("copy") and statement.endswith(("stdout", "stdout (format binary)")):
            with cursor.copy(statement) as copy:
                return [bytes(block) for block in copy]
        if statement.startswith("copy") and statement.endswith("stdin"):
            with cursor.copy(statement):
                return []
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
