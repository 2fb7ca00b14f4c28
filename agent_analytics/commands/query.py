"""agent-analytics query MEASURE… --as ROLE:ORG[:USER[:TEAM,TEAM]]"""

import argparse
import sys

from agent_analytics import output
from agent_analytics.commands.asking import asking
from agent_analytics.errors import QueryError
from agent_analytics.period import Period
from agent_analytics.query import Query, period_from_json
from agent_analytics.scope import parse_principal, split, unescape
from agent_analytics.settings import Settings


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("measures", nargs="+", metavar="MEASURE", help="what to count, such as runs or cost")
    add_filters(parser)
    parser.add_argument("--by", default="", metavar="DIM,DIM", help="what to split by, such as day or team")
    parser.add_argument("--order", metavar="NAME", help="a measure (greatest first) or a dimension (smallest first)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many rows")
    parser.add_argument("--other", action="store_true", help="with --limit: add up what is beyond it in one more row")
    parser.add_argument("--before", action="store_true", help="of the period before, as long, or of its same part")
    parser.add_argument("--anonymous", action="store_true", help="of all the organization, as published: of nobody")
    parser.add_argument("--engine", choices=("cache", "record"), default="cache", help="who answers (default: cache)")
    parser.add_argument("--format", choices=tuple(output.FORMATS), default="table", help="default: table")
    parser.set_defaults(run=run)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Who asks, over which days, of which runs."""
    parser.add_argument("--as", dest="principal", required=True, metavar="ROLE:ORG[:USER[:TEAM,TEAM]]", help="who asks")
    parser.add_argument("--from", dest="first", metavar="DATE", help="first day, such as 2026-03-01")
    parser.add_argument("--to", dest="end", metavar="DATE", help="last day, included")
    parser.add_argument("--last", metavar="30d", help="today and the days before it (default: 30d)")
    parser.add_argument(
        "--where",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIM=V,V",
        help="only these values; an empty value means none (Unattributed); a backslash escapes : , =",
    )


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    principal = parse_principal(arguments.principal)
    query = Query(
        arguments.measures,
        [name for name in arguments.by.split(",") if name],
        filters(arguments.where),
        period(arguments),
        arguments.order,
        arguments.limit,
        arguments.other,
        arguments.before,
    )
    with asking(settings, principal, arguments.engine, arguments.anonymous) as ask:
        found = ask(query)
    sys.stdout.write(output.FORMATS[arguments.format](found))


def period(arguments: argparse.Namespace) -> Period:
    given = {"from": arguments.first, "to": arguments.end, "last": arguments.last}
    return period_from_json({name: value for name, value in given.items() if value is not None})


def filters(texts: list[str]) -> dict[str, list[str | None]]:
    """`DIM=V,V` each; the values of a dimension named twice are put together."""
    found: dict[str, list[str | None]] = {}
    for text in texts:
        name, *values = split(text, "=")
        if not values:
            raise QueryError(f"--where {text!r} has no value; write DIM=VALUE,VALUE.")
        chosen = split("=".join(values), ",")
        found.setdefault(unescape(name), []).extend(unescape(value) or None for value in chosen)
    return found
