"""Two organizations whose every run carries words and a cost that occur nowhere else, and people of every role."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from given import a_run, ingest
from served import served

# Who started a run: in which organization and team, and what it cost.
OWNERS = {
    "ada": ("acme", "Search", "11.110374611"),
    "bo": ("acme", "Search", "12.220481703"),
    "cy": ("acme", "Payments", "13.330592817"),
    "nell": ("acme", None, "14.440613929"),
    "lena": ("acme", "Growth", "15.550724137"),
    "liz": ("acme", "Growth", "16.660835241"),
    "ann": ("acme", "Operations", "17.770946353"),
    "gus": ("globex", "Gold", "18.880157469"),
    "gwen": ("globex", "Gold", "19.990268573"),
}
PEOPLE = {
    "member": Principal("MEMBER", "acme", "zq-ada-user", ("zq-Search-team",)),
    "lead": Principal("TEAM_LEAD", "acme", "zq-lena-user", ("zq-Search-team",)),
    "leads": Principal("TEAM_LEAD", "acme", "zq-liz-user", ("zq-Search-team", "zq-Payments-team")),
    "admin": Principal("ORG_ADMIN", "acme", "zq-ann-user"),
    "globex": Principal("ORG_ADMIN", "globex", "zq-gwen-user"),
    "platform": Principal("PLATFORM_ADMIN", None, "zq-pat-user"),
}
ACME = {"ada", "bo", "cy", "nell", "lena", "liz", "ann"}
SEES = {
    "none": set(),
    "member": {"ada"},
    "lead": {"ada", "bo", "lena"},
    "leads": {"ada", "bo", "cy", "liz"},
    "admin": ACME,
    "globex": {"gus", "gwen"},
    "platform": ACME | {"gus", "gwen"},
}


@dataclass(frozen=True)
class World:
    http: httpx2.Client
    settings: Settings
    record: Record

    def request(self, role: str, method: str, path: str, **sent: Any) -> httpx2.Response:
        headers = {**sent.pop("headers", {})}
        if role != "none":
            headers["authorization"] = f"Bearer {tokens.issue(self.settings.home, PEOPLE[role], datetime.now(UTC))}"
        return self.http.request(method, path, headers=headers, **sent)

    def get(self, role: str, path: str, **parameters: Any) -> httpx2.Response:
        return self.request(role, "GET", path, params=parameters)


def run_id(owner: str) -> str:
    return f"zq-{owner:-<6}-run"


def the_run(owner: str, now: datetime) -> dict[str, Any]:
    """With the owner's word in every text that a run has."""
    organization, team, cost = OWNERS[owner]
    texts = ("agent_type", "model", "model_version", "error_category", "error_message")
    return a_run(
        run_id(owner),
        organization=organization,
        team=team and f"zq-{team}-team",
        user=f"zq-{owner}-user",
        status="failed",
        started_at=(now - timedelta(days=2, minutes=len(owner))).isoformat(),
        input_cost=cost,
        output_cost="0",
        attributes={"note": f"zq-{owner}-note"},
        **{name: f"zq-{owner}-{name}" for name in texts},
    )


def canaries(owner: str) -> set[str]:
    """What only this owner's run has, and its team, which others may have too."""
    _, team, cost = OWNERS[owner]
    return {f"zq-{owner}-", cost} | ({f"zq-{team}-team"} if team else set())


def owners_in(text: str) -> set[str]:
    """Whose runs a text tells of."""
    return {owner for owner in OWNERS if f"zq-{owner}-" in text or OWNERS[owner][2] in text}


def foreign(role: str) -> set[str]:
    """What nothing may hold that this role is shown. Everybody knows their own names."""
    theirs = {each for owner in SEES[role] for each in canaries(owner)} | set(
        PEOPLE[role].teams if role in PEOPLE else ()
    )
    return {each for owner in OWNERS for each in canaries(owner)} - theirs


def told(response: httpx2.Response) -> str:
    """All that a reply says, headers too, whatever it is packed in."""
    return "\n".join([*(f"{name}: {value}" for name, value in response.headers.items()), _unpacked(response)])


def _unpacked(response: httpx2.Response) -> str:
    kind = response.headers.get("content-type", "")
    if kind == "application/zip":
        archive = zipfile.ZipFile(io.BytesIO(response.content))
        return "\n".join(archive.read(name).decode() for name in archive.namelist())
    if "parquet" in kind:
        return str(pq.read_table(io.BytesIO(response.content)).to_pylist())
    if "arrow" in kind:
        table = pa.ipc.open_stream(response.content).read_all()
        return f"{table.to_pylist()} {table.schema.metadata}"
    return response.text


@pytest.fixture(scope="session")
def world(server: str, template: str, scratch: Path, keyring: Path) -> Iterator[World]:
    home, name = scratch / "world", "world"
    shutil.copytree(keyring, home)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
        settings = Settings(home=home, database_url=urlunsplit(urlsplit(server)._replace(path=f"/{name}")))
        with Record(str(settings.database_url), home) as record:
            ingest(record, [the_run(owner, datetime.now(UTC)) for owner in OWNERS])
            with served(settings) as url, httpx2.Client(base_url=url, timeout=30, trust_env=False) as http:
                yield World(http, settings, record)
        connection.execute(f"drop database {name} with (force)")
    shutil.rmtree(home)


def json_of(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
