"""agent-analytics ingest runs FILE…"""

import argparse
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from agent_analytics.commands.asking import record_of
from agent_analytics.errors import IngestError
from agent_analytics.ingest import FORMATS, NothingGood, Rejection, ingest_runs, open_source
from agent_analytics.ingest.files import size
from agent_analytics.settings import Settings

FEW = 5
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("kind", choices=("runs",), help="what the files hold")
    parser.add_argument("files", nargs="+", metavar="FILE", help="CSV, JSON Lines or Parquet, also gzipped; - is stdin")
    parser.add_argument("--organization", metavar="O", help="whose the records are that name no organization")
    parser.add_argument("--rejects", metavar="FILE", help="write each rejected record there, one JSON object a line")
    parser.add_argument("--format", choices=FORMATS, help="what the files are, rather than find out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """All files or none of them: exit status 0 where at least one record is good, or there is none."""
    total = _total(arguments.files)
    sources = (open_source(file, arguments.format) for file in arguments.files)
    with record_of(settings) as record, _rejections(arguments.rejects) as rejects, _bar(total) as bar:
        try:
            summary = ingest_runs(
                record, sources, organization=arguments.organization, rejects=rejects, progress=bar.update
            )
        except KeyboardInterrupt:
            raise IngestError("Interrupted. Nothing was taken.") from None
    print(summary)


def _total(paths: list[str]) -> int | None:
    sizes = [size(path) for path in paths]
    known = [each for each in sizes if each is not None]
    return sum(known) if len(known) == len(sizes) else None


def _bar(total: int | None) -> Any:
    """On a terminal only."""
    return tqdm(desc="Ingest", total=total, unit="B", unit_scale=True, disable=None, leave=False)


@contextmanager
def _rejections(path: str | None) -> Iterator[Callable[[Rejection], None]]:
    """Where rejected records go: all of them to a file, or the first few reasons to the screen."""
    if path is not None:
        with _whole_file(Path(path).resolve()) as write:
            yield write
        return
    few: list[Rejection] = []
    yield lambda each: few.append(each) if len(few) < FEW else None
    for each in few:
        print(f"rejected: {each}", file=sys.stderr)


@contextmanager
def _whole_file(path: Path) -> Iterator[Callable[[Rejection], None]]:
    """Write beside the file, and put it in its place once complete; otherwise leave no trace."""
    if path.exists() and not path.is_file():
        raise IngestError(f"--rejects {path} is not a file.")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    failed = None
    try:
        with draft.open("xb") as file:
            try:
                yield lambda each: _write(file, each)
            except NothingGood as error:
                failed = error
        draft.replace(path)
    except OSError as error:
        raise IngestError(f"--rejects {path} cannot be written: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)
    if failed:
        raise failed


def _write(file: Any, each: Rejection) -> None:
    file.write(_encoder.encode(each) + b"\n")
