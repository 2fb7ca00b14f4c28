"""agent-analytics publish"""

import argparse
from datetime import UTC, datetime

from agent_analytics.commands.asking import record_of
from agent_analytics.privacy import Published, publish
from agent_analytics.settings import Settings


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """One line for each organization."""
    with record_of(settings) as record:
        for each in publish(record, datetime.now(UTC)):
            print(_told(each))


def _told(each: Published) -> str:
    done = f"off: {each.off};" if each.off else f"lines: {each.lines:,}, people: {each.people:,},"
    return f"{each.organization}\t{done} runs waiting: {each.waiting:,}"
