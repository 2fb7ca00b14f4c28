"""Files of records: CSV, JSON Lines and Parquet, compressed by gzip or not, or standard input."""

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

import pyarrow
import pyarrow.parquet

from agent_analytics.errors import IngestError, unknown
from agent_analytics.ingest.records import FIELDS, Rejected, Row, Source

FORMATS = ("csv", "jsonl", "parquet")
REQUIRED = ("run_id", "agent_type", "status", "started_at")
LONGEST_LINE = 1 << 20
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_source(path: str, format: str | None = None) -> Source:
    """The records of a file, `-` for standard input; what it is, its content says unless `format` does.

    Raises IngestError, here or while it is read.
    """
    name = "standard input" if path == "-" else path
    file = _unzipped(_opened(path, name))
    found = format or _sniffed(file, name)
    readers = {"csv": _csv_rows, "jsonl": _jsonl_rows, "parquet": _parquet_rows}
    return Source(name, _complained(name, readers[found](file, name)), loose=found != "jsonl")


def _opened(path: str, name: str) -> io.BufferedReader:
    if path == "-":
        return cast(io.BufferedReader, sys.stdin.buffer)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise IngestError(f"{name} cannot be read: {error.strerror}.") from None


def _unzipped(file: io.BufferedReader) -> io.BufferedReader:
    if file.peek(2)[:2] != _GZIP:
        return file
    return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)))


def _sniffed(file: io.BufferedReader, name: str) -> str:
    try:
        start = file.peek(64)[:64]
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged(name, error) from None
    if start.startswith(_PARQUET):
        return "parquet"
    text = start.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not text:
        raise IngestError(f"{name} is empty.")
    if text.startswith(b"["):
        raise IngestError(f"{name} is one JSON array. Write one object a line, for example by: jq -c '.[]'")
    return "jsonl" if text.startswith(b"{") else "csv"


def _complained(name: str, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows; a file that turns out to be damaged fails whole."""
    try:
        yield from rows
    except (EOFError, OSError, zlib.error, pyarrow.ArrowException) as error:
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> IngestError:
    reason = " ".join(str(error).split())[:200]
    return IngestError(f"{name} is damaged or incomplete: {reason}. Nothing was taken.")


def _jsonl_rows(file: io.BufferedReader, name: str) -> Iterator[Row]:
    line = 0
    while content := file.readline(LONGEST_LINE + 1):
        line += 1
        if len(content) > LONGEST_LINE:
            _skip_line(file, content)
            yield Row(line, Rejected(None, f"The line is longer than {LONGEST_LINE} bytes."))
        elif text := content.removeprefix(_BYTE_ORDER_MARK if line == 1 else b"").strip():
            yield Row(line, text)


def _skip_line(file: io.BufferedReader, read: bytes) -> None:
    while read and not read.endswith(b"\n"):
        read = file.readline(LONGEST_LINE)


def _csv_rows(file: io.BufferedReader, name: str) -> Iterator[Row]:
    """Bytes that are no UTF-8 become halves of surrogate pairs, by which their own record alone is rejected."""
    text = io.TextIOWrapper(cast(IO[bytes], file), encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text)
    header = next(reader, [])
    _check_header(header, name)
    line = reader.line_num
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line + 1, Rejected(None, f"This is not CSV: {error}."))
            line = reader.line_num
            continue
        if cells:
            yield Row(line + 1, _record(header, cells))
        line = reader.line_num


def _record(header: list[str], cells: list[str]) -> dict[str, str] | Rejected:
    if len(cells) != len(header):
        return Rejected(None, f"The record has {len(cells)} cells; the header has {len(header)}.")
    return dict(zip(header, cells, strict=True))


def _check_header(columns: list[str], name: str) -> None:
    for column in columns:
        if column not in FIELDS:
            raise IngestError(f"{name}: {unknown('column', column[:200], FIELDS)}")
    missing = [field for field in REQUIRED if field not in columns]
    if missing:
        raise IngestError(f"{name}: the column {missing[0]!r} is missing. Needed: {', '.join(REQUIRED)}.")
    if len(set(columns)) < len(columns):
        raise IngestError(f"{name}: a column is named twice.")


def _parquet_rows(file: io.BufferedReader, name: str) -> Iterator[Row]:
    with pyarrow.parquet.ParquetFile(_seekable(file)) as table:
        _check_header(table.schema_arrow.names, name)
        line = 0
        for batch in table.iter_batches(batch_size=5000):
            for record in batch.to_pylist():
                line += 1
                yield Row(line, {name: _exact(value) for name, value in record.items()})


def _seekable(file: io.BufferedReader) -> IO[bytes]:
    if file.seekable() and not isinstance(file.raw, gzip.GzipFile):
        return file
    copy = TemporaryFile()  # noqa: SIM115 - the reader closes it
    while block := file.read(1 << 20):
        copy.write(block)
    copy.seek(0)
    return copy


def _exact(value: Any) -> Any:
    """A float as the decimal number that it shows as, never as the binary fraction that it is."""
    return Decimal(repr(value)) if isinstance(value, float) else value
