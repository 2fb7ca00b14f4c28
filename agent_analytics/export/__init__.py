"""Answers, and the runs behind them, as files: streamed, however many there are, under the asker's scope.

A file of runs has the columns of the ingest contract, so that it can be taken in again. What was exported is told
by a manifest beside the file, never inside it.
"""

from agent_analytics.export.audited import write_down
from agent_analytics.export.manifest import Moment, asked_runs, manifest, name_of, totals
from agent_analytics.export.panels import arrow_of, page
from agent_analytics.export.parquet import parquet_of_runs
from agent_analytics.export.runs import COLUMNS, csv_of_runs

RUN_FORMATS = {"csv": csv_of_runs, "parquet": parquet_of_runs}

__all__ = [
    "COLUMNS",
    "RUN_FORMATS",
    "Moment",
    "arrow_of",
    "asked_runs",
    "csv_of_runs",
    "manifest",
    "name_of",
    "page",
    "parquet_of_runs",
    "totals",
    "write_down",
]
