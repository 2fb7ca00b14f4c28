"""The installation's processes, started, watched and restarted by PyPI's supervisor as a child of ours."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn, Self
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from agent_analytics.errors import ServiceError
from agent_analytics.serving import offspring
from agent_analytics.serving.home import make_private, socket_directory, tail
from agent_analytics.settings import PREFIX, Settings

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
SECONDS_TO_STOP = 120
SECONDS_FOR_ORPHANS = 5
SECONDS_OF_FAILURE = 10
SECONDS_OF_LIFE = 3
_SOCKET = "supervisor.sock"
_GROUP = "services"


@dataclass(frozen=True)
class Program:
    """One process: its name, its command line, and how it is stopped."""

    name: str
    command: tuple[str, ...]
    stop_signal: str = "TERM"
    seconds_to_stop: int = 10
    autostart: bool = True


def programs(settings: Settings, demo: bool) -> list[Program]:
    """What runs, in the order of start. The demo's trickle is started once its data are there."""
    found = [] if settings.database_url else [_serve("postgres", stop_signal="INT", seconds_to_stop=60)]
    if demo:
        found += [_serve("provider"), _serve("trickle", autostart=False)]
    return found + [_serve(name) for name in ("hub", "dashboards", "api", "proxy")]


def _serve(name: str, **more: Any) -> Program:
    return Program(name, (sys.executable, "-P", "-m", "agent_analytics.cli", "serve", name), **more)


def environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """What the processes get of ours: our settings, and the few variables that any program needs."""
    ours = {name: value for name, value in environ.items() if name in INHERITED or name.startswith(PREFIX)}
    ours |= {f"{PREFIX}HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    return ours | ({f"{PREFIX}OIDC_ISSUER": settings.oidc_issuer} if settings.oidc_issuer else {})


def configuration(home: Path, programs: Sequence[Program]) -> str:
    """Supervisor's configuration file."""
    if not str(home).isprintable() or set(";%") & set(str(home)):
        raise ServiceError(f"The supervisor cannot work below {str(home)!r}: choose a home without ';' and '%'.")
    sections = [_section(home, program) for program in programs]
    together = ",".join(program.name for program in programs if program.name != "postgres")
    return _HEAD.format(home=home, socket=_socket(home), group=_GROUP, together=together) + "".join(sections)


def _section(home: Path, program: Program) -> str:
    return _PROGRAM.format(
        name=program.name,
        command=shlex.join(program.command).replace("%", "%%"),
        order=10 if program.name == "postgres" else 20,
        autostart=str(program.autostart).lower(),
        signal=program.stop_signal,
        seconds=program.seconds_to_stop,
        log=log_of(home, program.name),
    )


_HEAD = """\
[supervisord]
nodaemon = true
silent = true
logfile = {home}/logs/supervisor.log
logfile_maxbytes = 10MB
logfile_backups = 1
pidfile = {home}/run/supervisor.pid
childlogdir = {home}/logs
directory = {home}

[unix_http_server]
file = {socket}
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

# These stop together, then PostgreSQL, without which they could not finish what they do.
[group:{group}]
programs = {together}
priority = 20
"""

# A process that ends within `startsecs` is tried again after one second, two, three and so on, without end.
_PROGRAM = """
[program:{name}]
command = {command}
priority = {order}
autostart = {autostart}
autorestart = true
startsecs = 5
startretries = 1000000000
stopsignal = {signal}
stopwaitsecs = {seconds}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


def log_of(home: Path, name: str) -> Path:
    return home / "logs" / f"{name}.log"


def _socket(home: Path) -> Path:
    return socket_directory(home, "run", _SOCKET) / _SOCKET


class Supervisor:
    """The running supervisor; as a context, it ends together with every process below it."""

    def __init__(self, home: Path, programs: Iterable[Program], environment: Mapping[str, str]) -> None:
        self._home, self._programs, self._environment = home, list(programs), environment
        self._failing: dict[str, float] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0

    def __enter__(self) -> Self:
        offspring.adopt()
        try:
            self._process = self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def start(self, name: str) -> None:
        """Start a program that does not start by itself."""
        self._programs = [replace(found, autostart=found.autostart or found.name == name) for found in self._programs]
        self._ask().startProcess(f"{_GROUP}:{name}", False)

    def check(self) -> None:
        """Raise ServiceError if a process keeps ending right after its start, with what it said last."""
        if self._process and self._process.poll() is not None:
            raise self.failure("supervisor")
        now = time.monotonic()
        for state in self._states():
            if state["statename"] != "BACKOFF":
                continue
            since = self._failing.setdefault(state["name"], now)
            if now - since > SECONDS_OF_FAILURE:
                raise self.failure(state["name"])

    def failure(self, name: str) -> ServiceError:
        """That a process did not start, and the end of its log."""
        log = log_of(self._home, name)
        return ServiceError(f"{name} did not start. The end of {log}:\n{tail(log, 15) or '(it is empty)'}")

    def watch(self) -> NoReturn:
        """Stay. If supervisor itself is killed, everything is started again."""
        while self._process:
            self._process.wait()
            offspring.end_all(SECONDS_FOR_ORPHANS)
            if time.monotonic() - self._since < SECONDS_OF_LIFE:
                break
            print("The supervisor ended; starting everything again.", flush=True)
            self._process = self._start()
        raise self.failure("supervisor")

    def _start(self) -> subprocess.Popen[bytes]:
        self._since = time.monotonic()
        file = self._home / "run" / "supervisor.conf"
        file.write_text(configuration(self._home, self._programs))
        make_private(_socket(self._home).parent, os.geteuid(), os.getegid())
        with log_of(self._home, "supervisor").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "supervisor.supervisord", "-n", "-c", str(file)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=offspring.end_with_parent,
            )

    def _stop(self) -> None:
        """Let supervisor stop its processes in order; then end what is left below it."""
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SECONDS_TO_STOP)
        offspring.end_all(SECONDS_FOR_ORPHANS)

    def _states(self) -> list[dict[str, Any]]:
        try:
            return self._ask().getAllProcessInfo()
        except (OSError, HTTPException):
            return []

    def _ask(self) -> Any:
        transport = SupervisorTransport(serverurl=f"unix://{_socket(self._home)}")
        return ServerProxy("http://localhost", transport).supervisor


@contextmanager
def interruptible() -> Iterator[None]:
    """Leave the block quietly at the first SIGINT, SIGTERM or SIGHUP; further ones do not hurry what it cleans up."""

    def leave(*_: object) -> None:
        for name in signals:
            signal.signal(name, signal.SIG_IGN)
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(name, leave) for name in signals]
    try:
        yield
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    finally:
        for name, handler in zip(signals, before, strict=True):
            signal.signal(name, handler)
