"""How a command asks on the machine's own installation, with or without a running system."""

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from agent_analytics.answer import Answer
from agent_analytics.asking import answer
from agent_analytics.audit import Actor
from agent_analytics.cache import Cache, CacheInUse
from agent_analytics.client import Session
from agent_analytics.errors import RecordUnavailable, UsageError, unknown
from agent_analytics.organizations import unscoped_list
from agent_analytics.query import Query
from agent_analytics.scope import Principal, anonymous_scope_of, scope_of
from agent_analytics.serving import postgres, tokens
from agent_analytics.settings import Settings
from agent_analytics.store import Record

Ask = Callable[[Query], Answer]


@contextmanager
def record_of(settings: Settings) -> Iterator[Record]:
    """The installation's record, migrated where it is new; the embedded server is started and stopped if need be."""
    with postgres.running(settings) as url, Record(url, settings.home) as record:
        try:
            record.wait(0)
        except RecordUnavailable:
            postgres.migrate(settings)
        yield record


@contextmanager
def asking(settings: Settings, principal: Principal, engine: str, anonymous: bool = False) -> Iterator[Ask]:
    """A way to ask as `principal`; the cache is asked of its owner where it has one. Published lines it has none."""
    with record_of(settings) as record:
        check_organization(record, principal)
        if engine == "record" or anonymous:
            scope = (anonymous_scope_of if anonymous else scope_of)(principal)
            yield lambda query: answer(query, scope, record, datetime.now(UTC))
            return
        try:
            cache = Cache.open(settings.home / "cache" / "runs.duckdb")
        except CacheInUse:
            yield _session(settings, principal).answer
            return
        with cache:
            cache.follow(record)
            yield lambda query: answer(query, scope_of(principal), cache, datetime.now(UTC))


def check_organization(record: Record, principal: Principal) -> None:
    """A person's organization may have sent nothing yet; one that is typed is a typing error: raises UsageError."""
    slug = principal.organization
    if slug and record.zone(slug) is None:
        known = [each.organization for each in unscoped_list(record)]
        raise UsageError(unknown("organization", slug, known) if known else "There are no organizations yet.")


def operator() -> Actor:
    """The operating system's account that runs this command, for the audit: `--as` says whose rights it uses."""
    try:
        # Not what the environment says: anybody can set that.
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = f"uid {os.getuid()}"
    return Actor(account, None, "command")


def _session(settings: Settings, principal: Principal) -> Session:
    url = f"http://127.0.0.1:{settings.port_of('api')}/services/api"
    return Session(url, lambda: tokens.issue(settings.home, principal, datetime.now(UTC)))
