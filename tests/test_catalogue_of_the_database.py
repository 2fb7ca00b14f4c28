"""The schema itself is safe: what PostgreSQL's own catalogue says of it."""

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from agent_analytics import migrations, store
from agent_analytics.settings import Settings
from agent_analytics.tables import metadata

OURS = ("agent_analytics_owner", store.SERVICE, store.UNSCOPED)


@pytest.fixture
def admin(settings: Settings):
    with psycopg.connect(settings.database_url) as connection:
        yield connection


def names(connection: psycopg.Connection, query: str) -> set[str]:
    return {row[0] for row in connection.execute(query)}


@pytest.mark.filterwarnings("ignore:Did not recognize type .xid8.")
def test_the_migrations_make_the_tables_that_the_code_declares(settings: Settings) -> None:
    engine = sa.create_engine(sa.make_url(settings.database_url).set(drivername="postgresql+psycopg"))
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, parents: kind != "schema" or name == "analytics",
        "version_table": "schema_version",
        "compare_server_default": False,
    }
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(settings: Settings, admin: psycopg.Connection) -> None:
    before = admin.execute("select oid, relname from pg_class order by oid").fetchall()
    admin.commit()
    migrations.migrate(settings.database_url, store.passwords(settings.home))
    assert admin.execute("select oid, relname from pg_class order by oid").fetchall() == before


def test_row_security_is_forced_on_every_table(admin: psycopg.Connection) -> None:
    assert not names(
        admin,
        """
        select relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = 'analytics' and relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)
        """,
    )


def test_every_view_asks_with_its_readers_rights(admin: psycopg.Connection) -> None:
    assert not names(
        admin,
        """
        select relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname in ('analytics', 'public') and relkind in ('v', 'm')
          and not coalesce('security_invoker=true' = any (reloptions), false)
        """,
    )


def test_every_definer_function_names_its_search_path(admin: psycopg.Connection) -> None:
    assert not names(
        admin,
        """
        select proname from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
        where nspname in ('analytics', 'public') and prosecdef
          and not exists (select from unnest(proconfig) as setting where setting like 'search_path=%')
        """,
    )


def test_no_partition_is_granted(admin: psycopg.Connection) -> None:
    assert not names(
        admin,
        "select relname from pg_class join pg_inherits on inhrelid = pg_class.oid where relacl is not null",
    )


def test_our_accounts_can_do_nothing_beyond_row_security(admin: psycopg.Connection) -> None:
    rows = admin.execute(
        "select rolname, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication, rolcanlogin "
        "from pg_roles where rolname = any (%s) order by rolname",
        [list(OURS)],
    ).fetchall()
    assert rows == [(OURS[0], False, False), (OURS[1], False, True), (OURS[2], False, True)]


def test_a_password_is_never_sent_to_the_server_in_clear(settings: Settings, admin: psycopg.Connection) -> None:
    stored = names(admin, f"select rolpassword from pg_authid where rolname = '{store.SERVICE}'")
    assert all(verifier.startswith("SCRAM-SHA-256$") for verifier in stored)


def test_the_service_sees_nothing_until_it_names_an_organization(record: store.Record) -> None:
    with record.organization("acme") as connection:
        connection.execute("insert into analytics.organizations (organization, name) values ('acme', 'Acme')")
    with record.organization("acme") as connection:
        store.enter(connection, "")
        assert connection.execute("select * from analytics.organizations").fetchall() == []
    with record.organization("globex") as connection:
        assert connection.execute("select * from analytics.organizations").fetchall() == []


def test_the_service_writes_into_no_other_organization(record: store.Record) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), record.organization("acme") as connection:
        connection.execute("insert into analytics.organizations (organization, name) values ('globex', 'Globex')")


def test_the_unscoped_account_only_reads(record: store.Record) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), record.unscoped_reader() as connection:
        connection.execute("delete from analytics.runs")
