"""The command line: one module a command below `commands`, imported only when it is called."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from agent_analytics import settings
from agent_analytics.errors import AgentAnalyticsError

COMMANDS = {
    "demo": ("processes", "start everything with demo data and a demo sign-in"),
    "up": ("processes", "start everything"),
    "serve": ("processes", "start one process alone, for systemd or Kubernetes"),
    "migrate": ("migrate", "bring the database to the current schema"),
    "ingest": ("ingest", "read files of runs"),
    "query": ("query", "ask a question"),
    "export": ("export", "write the runs behind an answer to a file"),
    "publish": ("publish", "publish figures of each organization that tell of nobody, for its members"),
    "audit": ("audit", "who saw whose run, who exported what, who changed which setting"),
    "organization": ("organization", "list organizations, or set one's name and time zone"),
    "doctor": ("doctor", "check the installation"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status 0, 2 for a usage error, or 1 with one clear line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words[:1])
    parsed = parser.parse_args(words)
    try:
        return parsed.run(parsed, settings.read()) or 0
    except AgentAnalyticsError as error:
        print(f"agent-analytics: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _reader_has_gone()


def _parser(chosen: Sequence[str]) -> argparse.ArgumentParser:
    """All commands by name, the chosen one with its options: importing each would cost every call a second."""
    parser = argparse.ArgumentParser(prog="agent-analytics", description="What your AI agents do, cost and achieve.")
    parser.add_argument("--version", action="version", version=_version())
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, help) in COMMANDS.items():
        command = subparsers.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        if name in chosen:
            import_module(f"agent_analytics.commands.{module}").add_options(command, name)
    return parser


def _reader_has_gone() -> int:
    """`agent-analytics … | head` closes our output: say nothing more, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _version() -> str:
    from importlib.metadata import version

    return f"agent-analytics {version('agent-analytics')}"


if __name__ == "__main__":
    sys.exit(main())
