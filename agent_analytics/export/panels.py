"""Answers as files: the panels of a page as a zip, and one answer as Arrow."""

import io
import re
import zipfile
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import pyarrow as pa

from agent_analytics.answer import Answer, encode
from agent_analytics.catalog import MEASURES
from agent_analytics.export.manifest import about
from agent_analytics.export.sink import Sink
from agent_analytics.output import as_csv

_NAME = re.compile(r"[^a-z0-9]+")


def page(panels: Sequence[tuple[str, Answer]]) -> Generator[bytes, None, None]:
    """A zip of one CSV for each named answer, and of `manifest.json`."""
    sink, members = Sink(), []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, found in zip(_files([name for name, _ in panels]), (each for _, each in panels), strict=True):
            archive.writestr(file, as_csv(found))
            members.append(_member(file, found))
            yield sink.taken()
        archive.writestr("manifest.json", encode({"panels": members}))
    yield sink.taken()


def _member(file: str, found: Answer) -> dict[str, Any]:
    rows = len(found.rows) + (found.other is not None)
    return {"file": file, "rows": rows, "columns": found.columns, "query": found.query.to_json()} | about(found)


def _files(names: Iterable[str]) -> list[str]:
    """A file name for each panel: of a-z, 0-9 and dashes, no two the same."""
    files: list[str] = []
    for name in names:
        stem = _NAME.sub("-", name.lower()).strip("-")[:60] or "panel"
        taken = (f"{stem}{number}.csv" for number in ["", *(f"-{place}" for place in range(2, len(files) + 3))])
        files.append(next(file for file in taken if file not in files))
    return files


def arrow_of(found: Answer) -> bytes:
    """The answer's rows as an Arrow stream: money `decimal128(38, 9)`, counts `int64`, days `date32`, hours naive."""
    columns = zip(*found.rows, strict=True) if found.rows else ((),) * len(found.columns)
    fields = [pa.field(name, _arrow_type(name)) for name in found.columns]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    schema = pa.schema(fields, {"about": encode(found.to_json() | {"rows": []})})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue()


def _arrow_type(column: str) -> pa.DataType:
    if column in MEASURES:
        return {"integer": pa.int64(), "money": pa.decimal128(38, 9), "float": pa.float64()}[MEASURES[column].kind]
    days = ("day", "week", "month")
    return pa.timestamp("us") if column == "hour" else pa.date32() if column in days else pa.string()
