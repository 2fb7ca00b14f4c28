"""A person who writes SQL under an own login and tries everything: nothing that is not theirs, on both servers."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import psycopg
import pytest
from psycopg import errors

from agent_analytics import store
from agent_analytics.scope import Principal
from agent_analytics.settings import Settings
from people import ADMIN, FOREIGN, LEAD, TOTALS, Outcome, attempt, canaries, login_of

REFUSED = errors.InsufficientPrivilege
OWN = {ADMIN: (41, Decimal("1224728.25"), 1, 4), LEAD: (25, Decimal("36.25"), 1, 3)}
SAME = "the own totals, as ever"
NOTHING = "nothing foreign, whether it is refused or not"
Attacks = Mapping[str, tuple[Sequence[str], object]]

IDENTITY: Attacks = {
    "no trick": ([TOTALS], SAME),
    "set role to the service": ([f"set role {store.SERVICE}"], REFUSED),
    "set role to who reads all": ([f"set role {store.UNSCOPED}"], REFUSED),
    "set role to the owner": (["set role agent_analytics_owner"], REFUSED),
    "set role to the group": (["set role agent_analytics_people", TOTALS], SAME),
    "set role to the administrator": (["set role {admin}"], REFUSED),
    "become another login": (["set session authorization {other}"], REFUSED),
    "become the administrator": (["set session authorization {admin}"], REFUSED),
    "set role to another login": (["set role {other}"], REFUSED),
    "grant oneself the other": (["grant {other} to {me}"], errors.Error),
    "grant oneself the service": ([f"grant {store.SERVICE} to {{me}}"], errors.Error),
    "reset": (["reset role", "reset session authorization", "reset all", "discard all", TOTALS], SAME),
    "the service's setting": (["set app.organization = 'globex'", TOTALS], SAME),
    "the service's setting, by a function": (["select set_config('app.organization', 'globex', false)", TOTALS], SAME),
    "no row security": (["set row_security = off", TOTALS], REFUSED),
    "pretend to be a superuser": (["set is_superuser = on"], errors.CantChangeRuntimeParam),
    "pretend to be somebody": (["set session_authorization = '{other}'"], REFUSED),
    "shadow the functions": (["set search_path = pg_temp, public, analytics", TOTALS], SAME),
    "a role that bypasses": (["alter role {me} bypassrls"], REFUSED),
    "a role that creates": (["alter role {me} createrole"], REFUSED),
    "a new role": (["create role z"], REFUSED),
    "the group's settings": (["alter role agent_analytics_people set row_security = off"], REFUSED),
    "another's password": (["alter role {other} password 'x'"], REFUSED),
    "no expiry": (["alter role {me} valid until 'infinity'"], REFUSED),
    "more connections": (["alter role {me} connection limit -1"], REFUSED),
}

READING: Attacks = {
    "the logins": (["select * from analytics.logins"], REFUSED),
    "the changes": (["select * from analytics.changes"], REFUSED),
    "the view of local runs": (["select * from analytics.local_runs"], NOTHING),
    "the platform's views": (["select * from public.workspaces", "select * from public.users"], NOTHING),
    "names": (
        [f"select * from analytics.{name}" for name in ("organizations", "teams", "users", "agent_types")],
        NOTHING,
    ),
    "by name": (
        ["select * from analytics.runs where organization = 'globex' or true or run_id like 'canary%'"],
        NOTHING,
    ),
    "an own table behind it": (["table analytics.runs"], NOTHING),
    "system columns": (["select tableoid::regclass, ctid, xmin, run_id from analytics.runs"], NOTHING),
    "whole rows": (["select row_to_json(runs), runs::text from analytics.runs"], NOTHING),
    "as XML": (["select query_to_xml('select * from analytics.runs', true, false, '')"], NOTHING),
    "the database as XML": (["select database_to_xml(true, false, '')"], NOTHING),
    "a sample": (["select * from analytics.runs tablesample system (100)"], NOTHING),
    "by place": (["select * from analytics.runs where ctid < '(100,1)'"], NOTHING),
    "a cursor": (
        [
            "begin",
            "declare c scroll cursor with hold for " + TOTALS,
            "set local app.organization = 'globex'",
            "fetch all c",
        ],
        SAME,
    ),
    "prepared": (["prepare p as " + TOTALS, "set app.organization = 'globex'", "execute p"], SAME),
    "prepared, generic": (["set plan_cache_mode = force_generic_plan", "prepare p as " + TOTALS, "execute p"], SAME),
    "in parallel": (
        [
            "set min_parallel_table_scan_size = 0",
            "set parallel_setup_cost = 0",
            "set parallel_tuple_cost = 0",
            TOTALS,
        ],
        SAME,
    ),
    "locked rows": (["select * from analytics.runs for update"], REFUSED),
    "in a subtransaction": (["begin", "savepoint a", "set local row_security = on", "rollback to a", TOTALS], SAME),
    "a join by likeness": (
        ["select a.run_id from analytics.runs a right join analytics.runs b on a.organization <> b.organization"],
        NOTHING,
    ),
}

LEAKING: Attacks = {
    "an error that tells": (["select count(*) from analytics.runs where ('x' || error_message)::int = 1"], NOTHING),
    "an error that tells, by division": (
        ["select count(*) from analytics.runs where 1 / (case organization when 'globex' then 0 else 1 end) > 2"],
        NOTHING,
    ),
    "a cheap function that tells": (
        [
            "create function pg_temp.leak(o text) returns bool language plpgsql cost 0.0000001 as "
            "$$begin raise notice '%', o; return true; end$$",
            "select count(*) from analytics.runs where pg_temp.leak(organization)",
        ],
        REFUSED,
    ),
    "a function said to be leakproof": (
        ["create function pg_temp.leak(o text) returns bool language sql leakproof as 'select true'"],
        REFUSED,
    ),
    "an operator of one's own": (
        ["create operator public.=== (leftarg = text, rightarg = text, procedure = texteq)"],
        REFUSED,
    ),
    "code in a block": (["do $$ begin raise notice '%', (select count(*) from analytics.runs); end $$"], REFUSED),
    "a view of one's own": (["create view pg_temp.v as select * from analytics.runs"], REFUSED),
    "a materialized view": (["create materialized view public.m as select * from analytics.runs"], REFUSED),
    "a temporary table": (["create temporary table logins (login text)"], REFUSED),
    "a table": (["create table public.t (i int)"], REFUSED),
    "a schema": (["create schema z"], REFUSED),
    "a trigger": (
        ["create trigger t after insert on analytics.runs execute function suppress_redundant_updates_trigger()"],
        REFUSED,
    ),
    "a policy": (["create policy p on analytics.runs using (true)"], REFUSED),
    "no policy": (["alter table analytics.runs disable row level security"], REFUSED),
    "a rule": (["create rule r as on select to analytics.runs do instead select 1"], REFUSED),
    "a foreign key that tells": (["create table public.t (o text references analytics.organizations)"], REFUSED),
    "an index": (["create index on analytics.runs (cost)"], REFUSED),
    "statistics": (["create statistics s on team, cost from analytics.runs"], REFUSED),
    "vacuum": (["vacuum verbose analytics.runs"], NOTHING),
    "analyze": (["analyze verbose analytics.runs"], NOTHING),
    "what the statistics hold": (
        ["select * from pg_stats where schemaname = 'analytics'", "select * from pg_stats_ext"],
        NOTHING,
    ),
    "the statistics themselves": (["select * from pg_statistic"], REFUSED),
    "a plan that runs": (
        ["explain (analyze, verbose, costs off, timing off, summary off) select * from analytics.runs where cost > 0"],
        NOTHING,
    ),
    "what others run": (["select * from pg_stat_activity", "select * from pg_locks"], NOTHING),
    "what others prepared": (["select * from pg_prepared_statements", "select * from pg_cursors"], NOTHING),
    "who there is": (
        [
            "select * from pg_roles",
            "select * from pg_user",
            "select * from pg_auth_members",
            "select * from pg_db_role_setting",
            "select * from pg_shdescription",
            "select * from information_schema.role_table_grants",
        ],
        NOTHING,
    ),
    "what the catalogue says": (
        [
            "select * from pg_policies",
            "select prosrc, prosqlbody from pg_proc where pronamespace > 16383",
            "select * from pg_settings",
        ],
        NOTHING,
    ),
    "passwords": (["select * from pg_authid"], REFUSED),
    "passwords, the old way": (["select * from pg_shadow"], REFUSED),
}

WRITING: Attacks = {
    "insert": (["insert into analytics.runs (organization, run_id) values ('globex', 'x') returning *"], REFUSED),
    "insert a login": (["insert into analytics.logins (login) values ('aa_0000000000000000')"], REFUSED),
    "update": (["update analytics.runs set retries = 1 where organization = 'globex' returning *"], REFUSED),
    "update the login": (["update analytics.logins set organization = 'globex'"], REFUSED),
    "delete": (["delete from analytics.runs returning *"], REFUSED),
    "merge": (
        [
            "merge into analytics.runs r using analytics.runs s on r.run_id = s.run_id "
            "when matched then update set retries = 1"
        ],
        REFUSED,
    ),
    "truncate": (["truncate analytics.runs"], REFUSED),
    "through a view": (["update public.workspaces set name = 'x'"], REFUSED),
    "as a side effect": (["with w as (delete from analytics.runs returning *) select * from w"], REFUSED),
    "lock": (["begin", "lock table analytics.runs in row exclusive mode"], REFUSED),
    "drop": (["drop table analytics.runs"], REFUSED),
    "grant": (["grant select on analytics.logins to public"], REFUSED),
    "security label": (["comment on table analytics.runs is 'x'"], REFUSED),
}

SERVER: Attacks = {
    "copy out": (["copy analytics.runs to stdout"], NOTHING),
    "copy out, a query": (["copy (select * from analytics.runs) to stdout"], NOTHING),
    "copy out, binary": (["copy analytics.runs to stdout (format binary)"], NOTHING),
    "copy out the logins": (["copy analytics.logins to stdout"], REFUSED),
    "copy in": (["copy analytics.runs from stdin"], errors.Error),
    "copy to a file": (["copy (select 1) to '/tmp/agent-analytics-attack'"], REFUSED),
    "copy from a file": (["copy analytics.runs from '/etc/passwd'"], REFUSED),
    "copy to a program": (["copy (select 1) to program 'id'"], REFUSED),
    "copy from a program": (["copy analytics.runs from program 'id'"], REFUSED),
    "read a file": (["select pg_read_file('postgresql.conf')"], REFUSED),
    "read a binary file": (["select pg_read_binary_file('global/pg_control')"], REFUSED),
    "list a directory": (["select pg_ls_dir('.')"], REFUSED),
    "list the log": (["select * from pg_ls_logdir()"], REFUSED),
    "temporary files' names": (["select * from pg_ls_tmpdir()"], REFUSED),
    "who may come": (["select * from pg_hba_file_rules"], REFUSED),
    "a large object": (["select lo_from_bytea(0, 'x')"], REFUSED),
    "a large object, the old way": (["select lo_creat(-1)"], REFUSED),
    "a file as large object": (["select lo_import('/etc/passwd')"], REFUSED),
    "an advisory lock": (["select pg_advisory_lock(42)"], REFUSED),
    "an advisory lock, tried": (["select pg_try_advisory_xact_lock_shared(1, 2)"], REFUSED),
    "sleep": (["select pg_sleep(0)"], REFUSED),
    "a message in the log of changes": (["select pg_logical_emit_message(false, 'x', 'y')"], REFUSED),
    "listen": (["listen anything", "notify anything, 'forged'"], NOTHING),
    "another database through an extension": (["create extension dblink"], errors.Error),
    "a foreign server": (["create extension postgres_fdw"], errors.Error),
    "a server": (["create server s foreign data wrapper f"], errors.Error),
    "a wrapper": (["create foreign data wrapper w"], REFUSED),
    "a subscription": (["create subscription s connection 'dbname=x' publication p"], errors.Error),
    "a publication": (["create publication p for all tables"], REFUSED),
    "a library": (["load 'auto_explain'"], errors.Error),
    "a preloaded library": (["set session_preload_libraries = 'auto_explain'"], REFUSED),
    "a language": (["create language plpython3u"], errors.Error),
    "an event trigger": (["create event trigger e on ddl_command_end execute function f()"], errors.Error),
    "the server's settings": (["alter system set fsync = off"], REFUSED),
    "the database's settings": (["alter database {database} set app.organization = 'x'"], REFUSED),
    "another database": (["create database z"], REFUSED),
    "reload": (["select pg_reload_conf()"], REFUSED),
    "end another's session": (
        ["select pg_terminate_backend(pid) from pg_stat_activity where usename = '{admin}'"],
        REFUSED,
    ),
    "stop its temporary files' limit": (["set temp_file_limit = -1"], REFUSED),
    "log in clear": (["set log_statement = 'all'"], REFUSED),
    "hidden tables": (["set allow_system_table_mods = on", "select 1"], REFUSED),
    "checkpoint": (["checkpoint"], REFUSED),
    "replication": (["select pg_create_physical_replication_slot('x')"], REFUSED),
}
GROUPS = {"identity": IDENTITY, "reading": READING, "leaking": LEAKING, "writing": WRITING, "server": SERVER}


@pytest.mark.parametrize("principal", [ADMIN, LEAD], ids=lambda each: each.role)
@pytest.mark.parametrize("group", GROUPS)
def test_nothing_foreign(group: str, principal: Principal, settings: Settings, record: store.Record) -> None:
    canaries(settings, record)
    mine, other = login_of(settings, principal), login_of(settings, Principal("ORG_ADMIN", "globex"))
    with psycopg.connect(settings.database_url or "", autocommit=True) as admin:
        admin.execute("vacuum analyze")
        names = {"admin": admin.info.user, "database": admin.info.dbname, "me": mine.name, "other": other.name}
    wrong = []
    for attack, (statements, expected) in GROUPS[group].items():
        filled = [_filled(statement, names) for statement in statements]
        outcome = attempt(settings, mine, filled)
        told = str(outcome)
        foreign = any(_holds(told, filled, mark) for mark in FOREIGN[principal])
        if foreign or not _as_expected(outcome, expected, OWN[principal]):
            wrong.append((attack, told))
    assert not wrong


def _as_expected(outcome: Outcome, expected: object, own: tuple[object, ...]) -> bool:
    if expected is SAME:
        return bool(outcome.last == own)
    return expected is NOTHING or isinstance(outcome.error, expected)  # type: ignore[arg-type]


def _filled(statement: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        statement = statement.replace(f"{{{name}}}", value)
    return statement


def _holds(told: str, statements: Sequence[str], mark: str) -> bool:
    """Beside what the attack itself said, which the server repeats in its plans and activity."""
    for statement in statements:
        told = told.replace(statement, "")
    return mark in told.replace("canary%", "")
