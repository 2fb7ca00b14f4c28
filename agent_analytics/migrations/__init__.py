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
    _run_sql(op.get_bind(), name)


def close_to_everyone(connection: sa.Connection) -> None:
    """Take from every account of the server what ours do not need, as far as the connection's account may."""
    _run_sql(connection, "close_to_everyone.sql")


def _run_sql(connection: sa.Connection, name: str) -> None:
    text = files(__package__).joinpath("sql", name).read_text()
    connection.exec_driver_sql(text.replace("%", "%%"))


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
            close_to_everyone(connection)
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
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    statement = sql.SQL("alter role {} login password {}")
    driver.execute(statement.format(sql.Identifier(account), sql.Literal(verifier(driver, account, password))))


def verifier(connection: psycopg.Connection, account: str, password: str) -> str:
    """What the server is sent in place of a password: statements may be logged."""
    return connection.pgconn.encrypt_password(password.encode(), account.encode(), b"scram-sha-256").decode()


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
