"""The record's schema, one step a file; roles, policies and views are SQL files beside them."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic import command, op
from alembic.config import Config
from psycopg import sql

from agent_analytics.errors import RecordUnavailable

HEAD = "0004"
OLDEST_SERVER = 15


def run_sql(name: str) -> None:
    """Execute one of the SQL files as it stands."""
    text = files(__package__).joinpath("sql", name).read_text()
    op.get_bind().exec_driver_sql(text.replace("%", "%%"))


def migrate(url: str, passwords: Mapping[str, str]) -> None:
    """Bring the record at `url` to our schema, and let each account of `passwords` log in with its password.

    The account in `url` must be allowed to create roles and schemas. Raises RecordUnavailable.
    """
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            _check_version(connection)
            connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('agent_analytics.migrate'))"))
            command.upgrade(_config(connection), "head")
            for account, password in passwords.items():
                _set_password(connection, account, password)
    except sa.exc.OperationalError as error:
        raise RecordUnavailable(f"PostgreSQL does not answer: {_first_line(error)}") from None
    except sa.exc.ProgrammingError as error:
        raise RecordUnavailable(f"PostgreSQL refused the migration: {_first_line(error)}") from None


def _check_version(connection: sa.Connection) -> None:
    version = int(connection.scalar(sa.text("show server_version_num"))) // 10000
    if version < OLDEST_SERVER:
        raise RecordUnavailable(f"PostgreSQL {version} is too old; use {OLDEST_SERVER} or newer.")


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def _set_password(connection: sa.Connection, account: str, password: str) -> None:
    """Send the password's verifier, never the password: statements may be logged."""
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    verifier = driver.pgconn.encrypt_password(password.encode(), account.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("alter role {} login password {}").format(sql.Identifier(account), sql.Literal(verifier))
    driver.execute(statement)


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
