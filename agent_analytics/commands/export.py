"""agent-analytics export runs --as ROLE:ORG[:USER[:TEAM,TEAM]] -o FILE"""

import argparse
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent_analytics import export
from agent_analytics.answer import Answer, encode
from agent_analytics.asking import answer
from agent_analytics.commands.asking import check_organization, operator, record_of
from agent_analytics.commands.query import add_filters, filters, period
from agent_analytics.errors import AgentAnalyticsError, UsageError
from agent_analytics.scope import parse_principal, scope_of
from agent_analytics.settings import Settings

STDOUT = "-"


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("kind", choices=("runs",), help="what to export")
    add_filters(parser)
    parser.add_argument(
        "-o",
        dest="file",
        required=True,
        metavar="FILE",
        help="a name that ends in .csv or .parquet; a manifest is put beside it; - is stdout, as CSV, without one",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """File and manifest, both of one moment; neither of them unless both are complete."""
    principal = parse_principal(arguments.principal)
    asked = export.asked_runs(filters(arguments.where), period(arguments))
    kind = _kind(arguments.file)
    scope, now = scope_of(principal), datetime.now(UTC)
    with record_of(settings) as record:
        check_organization(record, principal)
        with record.snapshot(scope.organization) as connection:
            found = answer(export.totals(asked, scope), scope, export.Moment(connection), now)
            rights = {"as": arguments.principal}
            export.write_down(record, "export.runs", operator(), scope, [asked], more=rights)
            blocks = export.RUN_FORMATS[kind](found, scope, connection)
            if arguments.file == STDOUT:
                sys.stdout.buffer.writelines(blocks)
            else:
                _write_both(Path(arguments.file), blocks, found)


def _write_both(path: Path, blocks: Iterable[bytes], found: Answer) -> None:
    beside = path.with_suffix(".manifest.json")
    manifest = encode(export.manifest(path.name, found))
    with _complete(path, blocks), _complete(beside, [manifest, b"\n"]):
        pass
    print(f"{found.rows[0][0]:,} runs in {path}, described in {beside}.")


def _kind(file: str) -> str:
    """The format that the name asks for."""
    suffix = Path(file).suffix.lower().removeprefix(".")
    if file != STDOUT and suffix not in export.RUN_FORMATS:
        raise UsageError(f"-o {file} is neither .csv nor .parquet. Name a file such as runs.csv, or - for stdout.")
    return "csv" if file == STDOUT else suffix


@contextmanager
def _complete(path: Path, blocks: Iterable[bytes]) -> Iterator[None]:
    """Write beside the file, and put it in its place at the end of all; if anything fails, leave no trace."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise UsageError(f"-o {path} is not a file.")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.writelines(blocks)
        yield
        draft.replace(path)
    except OSError as error:
        raise AgentAnalyticsError(f"-o {path} cannot be written: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)
