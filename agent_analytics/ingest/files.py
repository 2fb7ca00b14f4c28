"""Reading files of records: CSV, JSON Lines and Parquet, compressed by gzip or not, or standard input."""

import csv
import gzip
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from agent_analytics.errors import IngestError, unknown
from agent_analytics.ingest.records import FIELDS, REQUIRED, Rejected, Sent
from agent_analytics.ingest.sources import BATCH, LONGEST_RECORD, Batch, Source, from_json, from_row, from_texts

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
STDIN = "-"
_SUFFIXES: dict[str, Format] = {".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_BUFFER = 256 * 1024


def open_source(path: str, format: Format | None = None) -> Source:
    """The records of a file, or of standard input for `-`; the format is found from content and name.

    Raises IngestError: here for a file that cannot be opened, while reading for one that is not what it seems.
    """
    name = "standard input" if path == STDIN else path
    with _explained(name):
        file = _Input(path)
        head = file.bytes.peek(_BUFFER)
        if not head:
            raise IngestError(f"{name} is empty.")
        read = {"csv": _read_csv, "jsonl": _read_json, "parquet": _read_parquet}
        return read[format or _format(name, head)](name, file)


def size(path: str) -> int | None:
    """The bytes of a regular file, else None. Raises IngestError where there is nothing to read."""
    if path == STDIN:
        return None
    with _explained(path):
        found = Path(path)
        found.stat()
        if found.is_dir():
            raise IngestError(f"{path} is a directory. Name its files.")
        return found.stat().st_size if found.is_file() else None


class _Input:
    """The bytes of a file, decompressed. `progress` says how many of the file's own were read since it last did."""

    def __init__(self, path: str) -> None:
        self.path, self.size = path, size(path)
        self._counted = _Counted(sys.stdin.buffer if path == STDIN else open(path, "rb"))  # noqa: SIM115
        stored: Any = io.BufferedReader(self._counted, _BUFFER)
        self.compressed = stored.peek(2)[:2] == _GZIP
        self.bytes: io.BufferedReader = _unzipped(stored) if self.compressed else stored
        self._told = 0

    def progress(self) -> int:
        step, self._told = self._counted.count - self._told, self._counted.count
        return step


def _unzipped(file: Any) -> io.BufferedReader:
    zipped: Any = gzip.GzipFile(fileobj=file)
    return io.BufferedReader(zipped, _BUFFER)


class _Counted(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, file: Any) -> None:
        self._file, self.count = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._file.readinto1(buffer)
        self.count += read
        return read

    def close(self) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()
        super().close()


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say in one line what is wrong with a file."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IngestError(f"{name} is not a whole gzip file ({error}). Copy it again.") from None
    except OSError as error:
        raise IngestError(f"{name} cannot be read: {error.strerror or error}.") from None
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise IngestError(f"{name} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _format(name: str, head: bytes) -> Format:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if head.startswith(_PARQUET):
        return "parquet"
    if start == b"[":
        raise IngestError(f"{name} is one JSON array. Write one object a line, for example by: jq -c '.[]'")
    suffix = Path(name.removesuffix(".gz")).suffix.lower()
    return "jsonl" if start == b"{" else _SUFFIXES.get(suffix, "csv")


def _read_json(name: str, file: _Input) -> Source:
    numbered = ((line, text) for line, text in enumerate(_lines(name, file.bytes), 1) if not text.isspace())
    return Source(name, _batches(name, file, numbered), from_json, _shown_json, file.size)


def _shown_json(text: str) -> Any:
    """The record as it was sent, digit for digit, or its text where it is not JSON."""
    text = text.strip()
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text
    return msgspec.Raw(text)


def _read_csv(name: str, file: _Input) -> Source:
    csv.field_size_limit(LONGEST_RECORD)
    reader = csv.reader(_lines(name, file.bytes), strict=True)
    header = _header(name, reader)

    def decode(cells: list[str] | Rejected) -> Sent:
        if isinstance(cells, Rejected):
            raise cells
        if len(cells) != len(header):
            raise Rejected(None, f"has {len(cells)} cells, and the header {len(header)}")
        return from_texts({field: cell for field, cell in zip(header, cells, strict=True) if cell})

    def show(cells: list[str] | Rejected) -> Any:
        return None if isinstance(cells, Rejected) else dict(zip(header, cells, strict=False))

    return Source(name, _batches(name, file, _rows(reader)), decode, show, file.size)


def _header(name: str, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next(reader)
    except (csv.Error, StopIteration):
        raise IngestError(f"{name}: the first line is not a CSV header.") from None
    if len(header) == 1 and (found := [separator for separator in ";\t|" if separator in header[0]]):
        raise IngestError(f"{name}: the columns are separated by {found[0]!r}. Separate them by commas.")
    _check_columns(name, header)
    return header


def _check_columns(name: str, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in FIELDS:
            raise IngestError(f"{name}: {unknown('column', column[:80], FIELDS)}")
        if columns.count(column) > 1:
            raise IngestError(f"{name}: there are two columns {column!r}.")
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise IngestError(f"{name}: without the column {', '.join(missing)} these are not runs.")


def _rows(reader: Any) -> Iterator[tuple[int, list[str] | Rejected]]:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Rejected(None, f"is not valid CSV: {error}")
            continue
        if cells:
            yield line, cells


def _lines(name: str, file: BinaryIO) -> Iterator[str]:
    """The lines with their ends. One that is too long is cut, so that memory holds whatever the file is."""
    number = 0
    while line := file.readline(LONGEST_RECORD + 2):
        number += 1
        if len(line) > LONGEST_RECORD + 1:
            yield _cut(line, file)
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise IngestError(f"{name}: line {number} is not UTF-8 text. Save the file as UTF-8.") from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def _cut(line: bytes, file: BinaryIO) -> str:
    rest = line
    while rest and not rest.endswith(b"\n"):
        rest = file.readline(LONGEST_RECORD)
    return line.decode(errors="replace") + "\n"


def _batches(name: str, file: _Input, numbered: Iterator[tuple[int, Any]]) -> Iterator[Batch]:
    with _explained(name), file.bytes:
        while records := list(islice(numbered, BATCH)):
            yield Batch(records, file.progress())


def _read_parquet(name: str, file: _Input) -> Source:
    whole: Any = file.path if file.size is not None and not file.compressed else _on_disk(file)
    parquet = pq.ParquetFile(whole)
    _check_columns(name, parquet.schema_arrow.names)
    return Source(name, _parquet_batches(name, file.size or 0, parquet), from_row, dict, file.size)


def _on_disk(file: _Input) -> BinaryIO:
    """Parquet's index is at its end: what cannot be read from there is copied to where it can."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(file.bytes, copy)
    copy.seek(0)
    return copy


def _parquet_batches(name: str, size: int, parquet: pq.ParquetFile) -> Iterator[Batch]:
    done, rows = 0, parquet.metadata.num_rows
    with _explained(name), parquet:
        for batch in parquet.iter_batches(BATCH):
            records = [(done + row, values) for row, values in enumerate(_plain(batch).to_pylist(), 1)]
            yield Batch(records, size * (done + len(records)) // rows - size * done // rows)
            done += len(records)


def _plain(batch: pa.RecordBatch) -> pa.Table:
    """Timestamps as the contract's texts, finer digits cut off; all else as it is."""
    table = pa.Table.from_batches([batch])
    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            zone = field.type.tz and "UTC"
            text = table.column(position).cast(pa.timestamp("us", zone), safe=False).cast(pa.string())
            table = table.set_column(position, field.name, text)
    return table
