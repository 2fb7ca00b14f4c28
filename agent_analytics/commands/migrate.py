"""agent-analytics migrate"""

import argparse

from agent_analytics.serving import postgres
from agent_analytics.settings import Settings


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    with postgres.running(settings):
        postgres.migrate(settings)
    print("The database is at the current schema.")
