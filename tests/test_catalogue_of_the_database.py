"""The schema itself is safe: what PostgreSQL's own catalogue says of it."""

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from agent_analytics import migrations, store
from agent_analytics.serving.logins import PEOPLE
from agent_analytics.settings import Settings
from agent_analytics.tables import metadata
from people import close

OURS = ("agent_analytics_owner", PEOPLE, store.SERVICE, store.UNSCOPED)
READABLE = {"agent_types", "local_runs", "organizations", "runs", "teams", "users", "workspaces"}


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
    logging_in = (store.SERVICE, store.UNSCOPED)
    assert rows == [(name, False, name in logging_in) for name in OURS]


def test_people_read_these_alone_and_write_nothing(admin: psycopg.Connection) -> None:
    granted = admin.execute(
        "select distinct table_name, privilege_type from information_schema.role_table_grants where grantee = %s",
        [PEOPLE],
    )
    assert set(granted) == {(name, "SELECT") for name in READABLE}
    assert not names(
        admin,
        "select grantee from information_schema.role_table_grants where grantee = 'PUBLIC'"
        " and table_schema = 'analytics'",
    )


def test_nobody_but_the_owner_touches_logins(admin: psycopg.Connection) -> None:
    grantees = "select distinct grantee from information_schema.role_table_grants where table_name = 'logins'"
    assert names(admin, grantees) == {"agent_analytics_owner"}
    assert names(admin, "select roles::text from pg_policies where tablename = 'logins'") == {"{agent_analytics_owner}"}


def test_what_people_see_hangs_on_nothing_that_they_can_set(admin: psycopg.Connection) -> None:
    """Every policy of theirs asks the functions by `session_user`, each in a sub-SELECT of its own."""
    policies = admin.execute("select tablename, qual from pg_policies where %s = any (roles)", [PEOPLE]).fetchall()
    assert {table for table, _ in policies} == READABLE - {"local_runs", "workspaces"}
    for _, condition in policies:
        assert "current_setting" not in condition
        assert "SELECT analytics.login_organization() AS login_organization" in condition
        assert condition.count("analytics.login_") == condition.count("SELECT analytics.login_")


def test_everyone_may_do_no_more_than_they_need(settings: Settings, admin: psycopg.Connection) -> None:
    close(settings)
    assert not names(
        admin,
        """
        select oid::regprocedure::text from pg_proc
        where has_function_privilege('public', oid, 'execute')
          and (proname ~ '^(lo_|pg_(try_)?advisory|pg_sleep)' or proname = 'pg_logical_emit_message')
        """,
    )
    assert not names(
        admin, "select lanname from pg_language where lanpltrusted and has_language_privilege('public', oid, 'usage')"
    )
    row = admin.execute(
        "select has_database_privilege('public', current_database(), 'temporary'),"
        " has_database_privilege('public', current_database(), 'create'),"
        " has_schema_privilege('public', 'public', 'create')"
    ).fetchone()
    assert row == (False, False, False)


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
