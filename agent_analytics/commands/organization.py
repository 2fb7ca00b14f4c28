"""agent-analytics organization list|set"""

import argparse

from agent_analytics import organizations
from agent_analytics.commands.asking import operator, record_of
from agent_analytics.settings import Settings


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="all organizations").set_defaults(run=run_list)
    changed = actions.add_parser("set", help="create one, or change its name or time zone")
    changed.add_argument("organization", metavar="O", help="its slug, such as acme")
    changed.add_argument("--name", metavar="N", help="its name")
    changed.add_argument("--timezone", metavar="ZONE", help="its IANA time zone, such as Europe/Berlin")
    changed.set_defaults(run=run_set)


def run_list(arguments: argparse.Namespace, settings: Settings) -> None:
    with record_of(settings) as record:
        for each in organizations.unscoped_list(record):
            _print(each)


def run_set(arguments: argparse.Namespace, settings: Settings) -> None:
    with record_of(settings) as record:
        slug, name, timezone = arguments.organization, arguments.name, arguments.timezone
        _print(organizations.set_organization(record, slug, name, timezone, by=operator()))


def _print(each: organizations.Organization) -> None:
    print(f"{each.organization}\t{each.name}\t{each.timezone}")
