"""agent-analytics audit --as ROLE:ORG"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from agent_analytics import audit, output
from agent_analytics.answer import encode
from agent_analytics.audit import Asked
from agent_analytics.commands.asking import check_organization, record_of
from agent_analytics.compile import Row
from agent_analytics.errors import UsageError
from agent_analytics.scope import parse_principal
from agent_analytics.settings import Settings

SHOWN = 50


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--as", dest="principal", required=True, metavar="ROLE:ORG", help="who reads it: an admin")
    parser.add_argument("--action", help=f"one of {', '.join(audit.ACTIONS)}")
    parser.add_argument("--actor", metavar="USER", help="only what this user or account did")
    parser.add_argument("--since", type=_instant, metavar="TIME", help="such as 2026-03-01 (UTC) or 2026-03-01T14:00Z")
    parser.add_argument("--until", type=_instant, metavar="TIME", help="up to before this instant")
    parser.add_argument("--limit", type=int, default=SHOWN, metavar="N", help=f"the newest N (default: {SHOWN})")
    parser.add_argument("--format", choices=tuple(FORMATS), default="table", help="default: table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    principal = parse_principal(arguments.principal)
    whose = audit.organization_of(principal)
    asked = Asked(arguments.action, arguments.actor, None, arguments.since, arguments.until)
    if arguments.limit < 1:
        raise UsageError(f"--limit {arguments.limit} must be at least 1.")
    with record_of(settings) as record:
        check_organization(record, principal)
        rows = list(islice(audit.every(record, whose, asked), arguments.limit))
    sys.stdout.writelines(FORMATS[arguments.format](rows))


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time. Write it like 2026-03-01T14:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """A line an event: when, where, who, what."""
    for at, organization, action, actor, role, via, thing, *_ in rows:
        cells = (at.strftime("%Y-%m-%d %H:%M:%S"), organization or "platform", action, actor or via, role or via, thing)
        yield "\t".join(output.printable(cell or "") for cell in cells) + "\n"


def _csv(rows: Sequence[Row]) -> Iterator[str]:
    yield output.csv_of([audit.COLUMNS, *rows])


def _json(rows: Sequence[Row]) -> Iterator[str]:
    yield encode([dict(zip(audit.COLUMNS, row, strict=True)) for row in rows]).decode() + "\n"


FORMATS = {"table": _table, "csv": _csv, "json": _json}
