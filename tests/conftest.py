"""What the tests share: real PostgreSQL servers, a fresh record for each test, and which skips are allowed."""

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

import left_behind
from agent_analytics import migrations, store
from agent_analytics.answer import Answer
from agent_analytics.asking import Engine, answer
from agent_analytics.cache import Cache
from agent_analytics.errors import ServiceError
from agent_analytics.query import Query
from agent_analytics.scope import Scope
from agent_analytics.serving import cluster, postgres, ready
from agent_analytics.serving.home import make_private
from agent_analytics.settings import Settings
from given import ADMIN, NOW

CHECKOUT = Path(__file__).parent.parent
ALLOWED_SKIPS = ("needs ../shared", "needs root")
_numbers = count()

# The machines are noisy: a slow draw says nothing of the code.
for name, examples in (("quick", 40), ("full", 1000)):
    hypothesis_settings.register_profile(
        name, deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow]
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="also run what takes longer, and try each property on more examples"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes longer; runs under `make test-full` only")
    config.pluginmanager.register(SkipPolicy())
    hypothesis_settings.load_profile("full" if config.getoption("--full") else "quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]


class SkipPolicy:
    """A skipped test is a failure, unless what it needs cannot be had here."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item):
        return _judged((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector):
        return _judged((yield))


def _judged(report):
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            report.outcome, report.longrepr = "failed", f"Skipped, but not for one of {ALLOWED_SKIPS}: {reason}"
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data that lie beside the checkout."""
    root = Path(os.environ.get("AGENT_ANALYTICS_SHARED") or CHECKOUT.parent / "shared")
    if not (root / "data").is_dir():
        pytest.skip("needs ../shared/data beside the checkout, or AGENT_ANALYTICS_SHARED")
    return root / "data"


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory with a short name (sockets), open to other accounts (the servers')."""
    directory = Path(tempfile.mkdtemp(prefix="aa-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    told = left_behind.told(directory)
    shutil.rmtree(directory)
    assert told == []


@pytest.fixture(scope="session")
def keyring(scratch: Path) -> Path:
    """The home whose keys all homes share: accounts belong to a server, not to one of its databases."""
    store.passwords(scratch / "keyring")
    return scratch / "keyring"


@pytest.fixture(scope="session", params=["embedded", "debian"])
def server(request: pytest.FixtureRequest, scratch: Path) -> Iterator[str]:
    """The URL of an administrator's account on a running server."""
    if request.param == "debian":
        yield from debian_server(scratch)
        return
    with postgres.running(Settings(home=scratch / "embedded")) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter system set fsync = off")
            connection.execute("select pg_reload_conf()")
        yield url


@pytest.fixture(scope="session")
def template(server: str, keyring: Path) -> str:
    """The name of a migrated database, from which each test's is copied."""
    name = "template_agent_analytics"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    migrations.migrate(at_database(server, name), store.passwords(keyring))
    return name


@pytest.fixture
def home(scratch: Path, keyring: Path) -> Iterator[Path]:
    """A fresh home, with the keys of the accounts on the test's server."""
    directory = scratch / f"home-{next(_numbers)}"
    shutil.copytree(keyring, directory)
    directory.chmod(0o711)
    yield directory
    told = left_behind.told(directory)
    shutil.rmtree(directory)
    assert told == []


@pytest.fixture
def port() -> int:
    """A public port that is free, together with the six after it."""
    for number in random.sample(range(20000, 30000, 10), 100):
        with suppress(ServiceError):
            ready.check_ports(Settings(home=CHECKOUT, port=number), demo=True)
            return number
    raise AssertionError("No free ports between 20000 and 30000.")


@pytest.fixture
def settings(server: str, template: str, home: Path) -> Iterator[Settings]:
    """The settings of an installation whose record is migrated and empty."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
        yield Settings(home=home, database_url=at_database(server, name))
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def record(settings: Settings) -> Iterator[store.Record]:
    with store.Record(postgres.record_url(settings), settings.home) as record:
        yield record


@pytest.fixture(params=["record", "cache"])
def engine(request: pytest.FixtureRequest, record: store.Record, tmp_path: Path) -> Iterator[Engine]:
    """Each of the engines."""
    if request.param == "record":
        yield record
        return
    with Cache.open(tmp_path / "cache.duckdb") as cache:
        yield cache


@pytest.fixture
def ask(engine: Engine, record: store.Record) -> Callable[..., Answer]:
    """Ask one of the engines, the cache after it has followed the record."""

    def asked(query: Query, scope: Scope = ADMIN, now: datetime = NOW) -> Answer:
        if isinstance(engine, Cache):
            engine.follow(record)
        return answer(query, scope, engine, now)

    return asked


def at_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def debian_server(scratch: Path) -> Iterator[str]:
    """The distribution's server, started by hand in a place of its own."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
    assert programs, "No PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql"
    place, account = scratch / "debian", cluster.account_to_run_as()
    make_private(place, account.pw_uid, account.pw_gid)
    (place / "password").write_text("secret")
    (place / "password").chmod(0o644)

    def call(program: str, *words: object) -> None:
        command = [programs / program, "-D", place / "data", *words]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **cluster.identity(account))

    call("initdb", "-U", "admin", "-A", "scram-sha-256", f"--pwfile={place / 'password'}", "-E", "UTF8")
    options = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off"
    call("pg_ctl", "start", "-w", "-o", options, "-l", place / "log")
    try:
        yield f"postgresql://admin:secret@/postgres?host={place}"
    finally:
        call("pg_ctl", "stop", "-w", "-m", "immediate")
