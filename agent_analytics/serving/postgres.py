"""The embedded PostgreSQL: made, started and stopped by us, on a private socket, never as root.

Two file locks say what goes on, whoever dies: `postgres-server` is held by the server's own processes, and
`postgres-users` by everybody who needs it. The last user stops it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from agent_analytics import keys, migrations, store
from agent_analytics.errors import RecordUnavailable, ServiceError
from agent_analytics.serving import cluster
from agent_analytics.serving.home import Lock, lock, tail
from agent_analytics.settings import Settings

SECONDS_TO_START = 120
SECONDS_TO_STOP = 60


def record_url(settings: Settings) -> str:
    """The URL of the account that may migrate: at the server that the settings name, or at the embedded one."""
    if settings.database_url:
        return settings.database_url
    password = keys.secret(settings.home, "database-admin")
    place = quote(str(cluster.socket_place(settings.home)))
    return f"postgresql://{cluster.ADMIN}:{password}@/{cluster.DATABASE}?host={place}"


def migrate(settings: Settings) -> None:
    """Bring the running record to our schema; raises RecordUnavailable."""
    migrations.migrate(record_url(settings), store.passwords(settings.home))


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The admin URL of a server that answers: the embedded one is started if need be, and stopped by its last user.

    Raises RecordUnavailable if the embedded server does not start; one that is not ours is not asked.
    """
    if settings.database_url:
        yield settings.database_url
        return
    with _in_use(settings.home):
        _ensure(settings)
        yield record_url(settings)


def wait(settings: Settings, seconds: float) -> None:
    """Return when the server answers; raises RecordUnavailable after `seconds`."""
    deadline = time.monotonic() + seconds
    while reason := _silence(record_url(settings)):
        if time.monotonic() > deadline:
            raise RecordUnavailable(f"PostgreSQL does not answer: {reason}")
        time.sleep(0.1)


def main(settings: Settings) -> None:
    """Become the embedded server, in the foreground; SIGINT and SIGTERM stop it.

    One that a command started is left to finish first: that command is using it.
    """
    if settings.database_url:
        raise ServiceError("AGENT_ANALYTICS_DATABASE_URL names a PostgreSQL server, so there is none to serve here.")
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: sys.exit(0))
    with _in_use(settings.home) as users, lock(settings.home, "postgres-server") as server:
        if not server.try_alone():
            print("This installation's PostgreSQL runs already; waiting for it to end.", flush=True)
            server.alone()
        command = cluster.prepared(settings)
        for held in (users, server):
            os.set_inheritable(held.descriptor, True)
        cluster.become(cluster.account_to_run_as())
        os.execve(command[0], command, cluster.ENVIRONMENT)  # noqa: S606


@contextmanager
def _in_use(home: Path) -> Iterator[Lock]:
    with lock(home, "postgres-users") as users:
        users.shared()
        try:
            yield users
        finally:
            users.release()
            if users.try_alone():
                _stop(home)


def _ensure(settings: Settings) -> None:
    """Return when the embedded server answers; the remains of a killed one are waited out."""
    url, deadline, launched = record_url(settings), time.monotonic() + SECONDS_TO_START, False
    with lock(settings.home, "postgres-start") as start:
        start.alone()
        while _silence(url):
            with lock(settings.home, "postgres-server") as server:
                free = server.try_alone()
                if free and not launched:
                    _launch(settings, server)
                elif free or time.monotonic() > deadline:
                    raise RecordUnavailable(f"The embedded PostgreSQL does not start: {_complaint(settings.home)}")
                launched = launched or free
            time.sleep(0.05)


def _silence(url: str) -> str:
    """Why the server does not answer yet; nothing where it does. Raises RecordUnavailable if waiting is in vain."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        if "password authentication failed" in reason:
            raise RecordUnavailable(f"PostgreSQL refuses our password: {reason}") from None
        return reason
    return ""


def _launch(settings: Settings, server: Lock) -> None:
    """Start the server as nobody's child: it may well outlive us."""
    command = cluster.prepared(settings)
    with _log(settings.home).open("ab") as log:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            check=True,
            env=cluster.ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[server.descriptor],
            start_new_session=True,
            **cluster.identity(cluster.account_to_run_as()),
        )


def _stop(home: Path) -> None:
    """Stop the server where one runs, and return when its last process has ended."""
    with lock(home, "postgres-server") as server:
        for request in (signal.SIGINT, signal.SIGQUIT):
            if server.try_alone():
                return
            with suppress(psutil.NoSuchProcess):
                cluster.postmaster(home).send_signal(request)
            if server.try_alone(SECONDS_TO_STOP):
                return


def _log(home: Path) -> Path:
    return home / "logs" / "postgres.log"


def _complaint(home: Path) -> str:
    """What the server's log says last about why it ended."""
    lines = tail(_log(home), 20).splitlines()
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    said = (fatal or lines or ["it said nothing."])[-1]
    return f"{said.split('FATAL:')[-1].strip()} (see {_log(home)})"
