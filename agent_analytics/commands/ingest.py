"""agent-analytics ingest runs FILE…"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agent_analytics.answer import encode
from agent_analytics.commands.asking import record_of
from agent_analytics.errors import IngestError
from agent_analytics.ingest.files import FORMATS, open_source
from agent_analytics.ingest.runs import Rejection, Summary, ingest_runs
from agent_analytics.settings import Settings

FEW = 3


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("kind", choices=("runs",), help="what the files hold")
    parser.add_argument("files", nargs="+", metavar="FILE", help="CSV, JSON Lines or Parquet, also gzipped; - is stdin")
    parser.add_argument("--organization", metavar="O", help="for records that name none")
    parser.add_argument("--rejects", metavar="FILE", help="write each rejected record there, one JSON object a line")
    parser.add_argument("--format", choices=FORMATS, help="instead of looking at the content")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    sources = (open_source(file, arguments.format) for file in arguments.files)
    with record_of(settings) as record, _told(arguments.rejects) as rejects, _bar() as bar:
        summary = ingest_runs(
            record,
            sources,
            organization=arguments.organization,
            rejects=rejects,
            progress=bar.update,
        )
    print(_line(summary))


def _line(summary: Summary) -> str:
    return (
        f"{summary.accepted:,} accepted, {summary.updated:,} updated, "
        f"{summary.unchanged:,} unchanged, {summary.rejected:,} rejected."
    )


def _bar() -> Any:
    """On a terminal only."""
    return tqdm(desc="Runs", unit=" runs", disable=None, leave=False)


@contextmanager
def _told(path: str | None) -> Iterator[Callable[[Rejection], None]]:
    """Where rejected records go: all to the file, which appears whole or not at all, and a few to the screen."""
    few: list[Rejection] = []
    if path is None:
        yield lambda rejection: few.append(rejection) if len(few) < FEW else None
    else:
        with _whole_file(path) as write:
            yield write
    for each in few:
        where = f"{each.field}: " if each.field else ""
        print(f"rejected: {each.file}, line {each.line}: {where}{each.reason}", file=sys.stderr)


@contextmanager
def _whole_file(path: str) -> Iterator[Callable[[Rejection], None]]:
    draft = Path(f"{path}.part")
    try:
        file = draft.open("wb")
    except OSError as error:
        raise IngestError(f"--rejects {path} cannot be written: {error.strerror}.") from None
    with file:
        try:
            yield lambda each: _write(file, each)
        finally:
            file.flush()
            os.replace(draft, path)


def _write(file, each: Rejection) -> None:  # type: ignore[no-untyped-def]
    file.write(encode(vars(each)) + b"\n")
