"""Downloads over real HTTP: under the bearer's scope, whole or visibly cut, and only while somebody reads."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.serving.api import exports
from agent_analytics.serving.api.places import Places
from agent_analytics.settings import Settings
from agent_analytics.store import SNAPSHOT, Record
from given import a_run, ingest
from served import served, wait_for

MARCH = {"from": "2026-03-01", "to": "2026-03-31"}
ADMIN = Principal("ORG_ADMIN", "acme")
RUNS = {"name": "Runs", "query": {"measures": ["runs"], "by": ["team"], **MARCH}}


@dataclass(frozen=True)
class Api:
    url: str
    home: Path

    def client(self, principal: Principal = ADMIN) -> httpx2.Client:
        token = tokens.issue(self.home, principal, datetime.now(UTC))
        return httpx2.Client(base_url=f"{self.url}/v1", headers={"authorization": f"Bearer {token}"}, timeout=30)

    def get(self, path: str, principal: Principal = ADMIN, **parameters: str) -> httpx2.Response:
        with self.client(principal) as client:
            return client.get(f"/export/{path}", params=parameters)

    def query(self, accept: str, *queries: dict[str, Any]) -> httpx2.Response:
        with self.client() as client:
            return client.post("/query", json={"queries": queries}, headers={"accept": accept})


@pytest.fixture
def api(settings: Settings, record: Record) -> Iterator[Api]:
    ingest(record, [a_run("a"), a_run("b", user="bo", team="=1+1"), a_run("c", organization="globex")])
    with served(settings) as url:
        yield Api(url, settings.home)


def run_ids(response: httpx2.Response) -> set[str]:
    assert response.status_code == 200, response.text
    return {row["run_id"] for row in csv.DictReader(io.StringIO(response.text, newline=""), strict=True)}


def test_the_bearer_decides_which_runs_are_in_the_file(api: Api) -> None:
    assert run_ids(api.get("runs.csv", **MARCH)) == {"a", "b"}
    assert run_ids(api.get("runs.csv", Principal("ORG_ADMIN", "globex"), **MARCH)) == {"c"}
    assert run_ids(api.get("runs.csv", Principal("MEMBER", "acme", "bo"), **MARCH)) == {"b"}
    assert run_ids(api.get("runs.csv", Principal("PLATFORM_ADMIN", None), **MARCH)) == {"a", "b", "c"}
    assert run_ids(api.get("runs.csv", where='{"user": ["ada"]}', **MARCH)) == {"a"}
    foreign = api.get("runs.csv", where='{"organization": ["globex"]}', **MARCH)
    assert foreign.status_code == 422 or run_ids(foreign) == set()


def test_a_file_is_to_be_saved_and_not_kept_on_the_way(api: Api) -> None:
    found = api.get("runs.csv", **MARCH)
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert found.headers["content-disposition"].startswith('attachment; filename="runs-acme-2026-03-01-2026-03-')
    assert (found.headers["cache-control"], found.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_the_manifest_and_parquet_are_of_the_same_runs(api: Api) -> None:
    told = api.get("runs.manifest.json", where='{"user": ["bo"]}', **MARCH).json()
    assert (told["rows"], told["filters"], told["totals"]["cost"]) == (1, {"user": ["bo"]}, 0.0045)
    assert told["file"].startswith("runs-acme-2026-03-01-")
    table = pq.read_table(io.BytesIO(api.get("runs.parquet", **MARCH).content))
    assert sorted(table["team"].to_pylist()) == ["=1+1", "Search"]


def test_one_answer_as_csv_and_as_arrow(api: Api) -> None:
    text = api.query("text/csv", RUNS["query"])
    assert text.content == b"team,runs\r\n'=1+1,1\r\nSearch,1\r\n"
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    arrow = api.query("application/vnd.apache.arrow.stream", RUNS["query"])
    assert pa.ipc.open_stream(arrow.content).read_all().to_pydict() == {"team": ["=1+1", "Search"], "runs": [1, 1]}
    assert len(api.query("application/json, text/csv", RUNS["query"], RUNS["query"]).json()["answers"]) == 2
    several = api.query("text/csv", RUNS["query"], RUNS["query"])
    assert (several.status_code, several.json()["detail"]) == (
        422,
        "text/csv holds one answer; ask one query, or accept application/json.",
    )


def test_a_page_is_a_zip_by_post_and_by_link(api: Api) -> None:
    view = {"panels": [RUNS, RUNS]}
    with api.client() as client:
        posted = client.post("/export/page.zip", json=view)
    for found in (posted, api.get("page.zip", view=json.dumps(view))):
        assert found.headers["content-disposition"] == 'attachment; filename="page.zip"'
        archive = zipfile.ZipFile(io.BytesIO(found.content))
        assert archive.namelist() == ["runs.csv", "runs-2.csv", "manifest.json"]
        assert archive.read("runs-2.csv") == b"team,runs\r\n'=1+1,1\r\nSearch,1\r\n"


@pytest.mark.parametrize(
    ("path", "parameters", "detail"),
    [
        ("runs.csv", {"where": "{"}, "where is not JSON."),
        ("runs.csv", {"where": "[" * 5000}, "where is not JSON."),
        ("runs.csv", {"where": "[]"}, "where must be an object"),
        ("runs.csv", {"where": '{"taem": ["x"]}'}, "Unknown filter 'taem'. Did you mean 'team'?"),
        ("runs.csv", {"where": '{"team": ["x\\u0000"]}'}, "Unknown team 'x\\x00'."),
        ("runs.csv", {"where": '{"team": ["\\ud800"]}'}, "Unknown team "),
        ("runs.csv", {"where": '{"day": ["x"]}'}, "'x' is not a date."),
        ("runs.parquet", {"last": "9" * 2000}, "'999"),
        ("runs.manifest.json", {"from": "2026-03-01"}, "Give both from and to."),
        ("runs.csv", {"form": "2026-03-01"}, "Unknown parameter 'form'. Did you mean 'from'?"),
        ("runs.csv", {"organization": "globex"}, "Unknown parameter 'organization'."),
        ("page.zip", {}, "query.view: Field required."),
        ("page.zip", {"view": "{}"}, "view.panels: Field required."),
        ("page.zip", {"view": '{"panels": [{"name": "a", "query": {"measures": ["x"]}}]}'}, "Unknown measure 'x'."),
        ("page.zip", {"view": "x" * 50_001}, "query.view: String should have at most 50000 characters."),
    ],
)
def test_a_wrong_parameter_is_told_in_one_line(api: Api, path: str, parameters: dict[str, str], detail: str) -> None:
    found = api.get(path, **parameters)
    assert found.status_code == 422
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["detail"].startswith(detail)


def test_without_a_token_there_is_nothing(api: Api) -> None:
    for path in ("runs.csv", "runs.parquet", "runs.manifest.json", "page.zip?view={}"):
        assert httpx2.get(f"{api.url}/v1/export/{path}").status_code == 401


@pytest.fixture
def long(api: Api, record: Record) -> None:
    """More than sockets take in: 40 MB."""
    ingest(record, [a_run(f"long-{number}", error_message="é" * 10_000) for number in range(2000)])


def snapshots(settings: Settings, act: str = "pid") -> list[Any]:
    with psycopg.connect(str(settings.database_url)) as connection:
        rows = connection.execute(f"select {act} from pg_stat_activity where application_name = %s", [SNAPSHOT])
        return rows.fetchall()


def test_when_the_reader_goes_postgresql_stops(api: Api, long: None, settings: Settings) -> None:
    with api.client() as client:
        with client.stream("GET", "/export/runs.csv", params=MARCH) as response:
            assert response.status_code == 200
            blocks = response.iter_bytes()
            assert next(blocks)
            assert len(snapshots(settings)) == 1
        wait_for(lambda: snapshots(settings) == [])
    assert len(run_ids(api.get("runs.csv", **MARCH))) == 2002


def test_a_file_that_is_cut_does_not_look_whole(api: Api, long: None, settings: Settings) -> None:
    with api.client() as client, client.stream("GET", "/export/runs.csv", params=MARCH) as response:
        blocks = response.iter_bytes()
        next(blocks)
        assert snapshots(settings, "pg_terminate_backend(pid)") == [(True,)]
        with pytest.raises(httpx2.RemoteProtocolError):
            list(blocks)


@pytest.mark.parametrize(("places", "other"), [(Places(of_one=1), 200), (Places(in_all=1), 503)])
def test_no_more_than_a_few_read_the_record_at_length_and_one_person_keeps_no_other_out(
    api: Api, long: None, settings: Settings, monkeypatch: pytest.MonkeyPatch, places: Places, other: int
) -> None:
    monkeypatch.setattr(exports, "places", places)
    with api.client() as client, client.stream("GET", "/export/runs.csv", params=MARCH):
        refused = api.get("runs.csv", **MARCH)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        assert api.get("runs.csv", Principal("ORG_ADMIN", "globex", "eve"), **MARCH).status_code == other
    wait_for(lambda: snapshots(settings) == [])
    assert api.get("runs.manifest.json", **MARCH).status_code == 200
