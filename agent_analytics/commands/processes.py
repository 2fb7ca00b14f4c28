"""agent-analytics demo, up, serve"""

import argparse
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from agent_analytics.errors import AgentAnalyticsError, ServiceError, SettingError
from agent_analytics.settings import Settings

if TYPE_CHECKING:
    from agent_analytics.serving.processes import Supervisor

PAGE = "/services/dashboards/organization"
SECONDS_TO_BE_READY = 120
PROCESSES = {
    "postgres": "agent_analytics.serving.postgres",
    "proxy": "agent_analytics.serving.proxy",
    "hub": "agent_analytics.serving.hub",
    "dashboards": "agent_analytics.serving.dashboards",
    "api": "agent_analytics.serving.api",
    "provider": "agent_analytics.demo.provider",
    "trickle": "agent_analytics.demo.trickle",
}


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.set_defaults(run={"demo": demo, "up": up, "serve": serve}[name])
    if name == "serve":
        parser.add_argument("process", choices=list(PROCESSES), help="provider and trickle belong to the demo")


def serve(arguments: argparse.Namespace, settings: Settings) -> None:
    """Become one of the processes, in the foreground."""
    import_module(PROCESSES[arguments.process]).main(settings)


def up(arguments: argparse.Namespace, settings: Settings) -> None:
    if not settings.oidc_issuer:
        raise SettingError(
            "AGENT_ANALYTICS_OIDC_ISSUER is not set: people sign in through your identity provider, so name it. "
            "To look around without one: agent-analytics demo"
        )
    _run(settings, demo=False)


def demo(arguments: argparse.Namespace, settings: Settings) -> None:
    issuer = settings.oidc_issuer or f"http://127.0.0.1:{settings.port_of('provider')}"
    _run(replace(settings, oidc_issuer=issuer), demo=True)


def _run(settings: Settings, demo: bool) -> None:
    """Start everything, say so, and stay until SIGINT, SIGTERM or SIGHUP; then stop everything."""
    from agent_analytics.serving import processes, proxy, ready
    from agent_analytics.serving.home import lock

    with processes.interruptible(), lock(settings.home, "up") as alone:
        if not alone.try_alone():
            raise ServiceError(
                f"Agent Analytics is running already in {settings.home}. Stop it there (Ctrl-C), "
                "or set AGENT_ANALYTICS_HOME to another directory."
            )
        proxy.program()
        ready.check_ports(settings, demo)
        programs = processes.programs(settings, demo)
        environment = processes.environment(os.environ, settings)
        with processes.Supervisor(settings.home, programs, environment) as supervisor:
            _bring_up(supervisor, settings, demo)
            supervisor.watch()


def _bring_up(supervisor: "Supervisor", settings: Settings, demo: bool) -> None:
    from agent_analytics.serving import ready

    _apart(supervisor.check, _prepare_record, settings, demo)
    prepared = datetime.now(UTC)
    if demo:
        supervisor.start("trickle")
    late = ready.wait(settings, ready.routes(settings, demo, prepared), supervisor.check, SECONDS_TO_BE_READY)
    if late:
        raise supervisor.failure(late.process)
    print(_welcome(settings, demo), flush=True)


def _welcome(settings: Settings, demo: bool) -> str:
    database = "your PostgreSQL" if settings.database_url else "PostgreSQL"
    runs = f"{database}, hub, dashboards, api, proxy" + (", identity provider, trickle of new runs" if demo else "")
    return (
        f"Agent Analytics is ready: {settings.origin}{PAGE}\n"
        f"  runs    {runs}\n"
        f"  state   {settings.home}, with a log of each process in {settings.home / 'logs'}\n"
        "  Ctrl-C stops everything."
    )


def _prepare_record(settings: Settings, demo: bool) -> None:
    from agent_analytics.serving import postgres

    postgres.wait(settings, SECONDS_TO_BE_READY)
    postgres.migrate(settings)
    if demo:
        _seed(settings)


def _seed(settings: Settings) -> None:
    """Demo data up to now: all of them at first, later what is missing since the demo last ran."""
    from tqdm import tqdm

    from agent_analytics.demo import data
    from agent_analytics.organizations import unscoped_list
    from agent_analytics.serving import postgres
    from agent_analytics.store import Record

    def advance(runs: int) -> None:
        bar.update(runs)

    with Record(postgres.record_url(settings), settings.home) as record:
        if not unscoped_list(record):
            print("Making the demo's data, this once.", flush=True)
        with tqdm(desc="Demo data", unit=" runs", disable=None, leave=False) as bar:
            data.seed(settings, record, datetime.now(UTC), advance)


def _apart(check: Callable[[], None], work: Callable[..., None], *arguments: object) -> None:
    """Call `work` in a process of its own, so that what it imports takes no memory of ours; meanwhile `check`."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_report, args=(sender, work, *arguments))
    process.start()
    sender.close()
    try:
        while not receiver.poll(0.2):
            check()
        # Text: what `recv` reads could be any object.
        error = ServiceError(text) if (text := receiver.recv_bytes().decode()) else None
    except EOFError:
        error = ServiceError("The database could not be prepared; the reason stands above.")
    finally:
        process.terminate()
        process.join()
    if error:
        raise error


def _report(sender: Connection, work: Callable[..., None], *arguments: object) -> None:
    """Leave a terminal's Ctrl-C to the parent, which ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    try:
        work(*arguments)
        sender.send_bytes(b"")
    except AgentAnalyticsError as error:
        sender.send_bytes(str(error).encode())
