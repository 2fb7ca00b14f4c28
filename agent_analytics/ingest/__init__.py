"""Ingest: records of agent runs, from files and other sources, validated, priced and merged into the record."""

from agent_analytics.ingest.files import FORMATS, open_source
from agent_analytics.ingest.runs import NothingGood, Rejection, Summary, ingest_runs
from agent_analytics.ingest.sources import Source, from_dicts

__all__ = ["FORMATS", "NothingGood", "Rejection", "Source", "Summary", "from_dicts", "ingest_runs", "open_source"]
