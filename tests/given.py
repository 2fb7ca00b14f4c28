"""What tests start from: runs in the ingest contract, taken in through the real ingest."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from agent_analytics.ingest import from_dicts
from agent_analytics.ingest.runs import Summary, ingest_runs
from agent_analytics.organizations import set_organization
from agent_analytics.scope import parse_principal, scope_of
from agent_analytics.store import Record

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
YESTERDAY = date(2026, 3, 29)
ADMIN = scope_of(parse_principal("ORG_ADMIN:acme"))


def a_run(run_id: str, **fields: Any) -> dict[str, Any]:
    """A succeeded run of acme, five minutes long, with `fields` in place of what it has."""
    started = datetime.fromisoformat(fields.get("started_at", "2026-03-28T09:00:00Z"))
    return {
        "organization": "acme",
        "run_id": run_id,
        "user": "ada",
        "team": "Search",
        "agent_type": "review",
        "status": "succeeded",
        "started_at": started.isoformat(),
        "ended_at": (started + timedelta(minutes=5)).isoformat(),
        "input_tokens": 1000,
        "output_tokens": 100,
        "input_cost": "0.003",
        "output_cost": "0.0015",
        **fields,
    }


def runs_of(
    people: Iterable[int], agent_type: str = "review", day: date = YESTERDAY, **fields: Any
) -> list[dict[str, Any]]:
    """One run of each person on a day; of every three people there is a team."""
    return [
        a_run(
            f"{day}-{agent_type}-{person}",
            **{"user": f"u{person}", "team": f"T{person // 3}", "agent_type": agent_type}
            | {"started_at": f"{day}T09:00:00Z", "cost": "1", "input_cost": None, "output_cost": None}
            | fields,
        )
        for person in people
    ]


def ingest(record: Record, runs: Iterable[dict[str, Any]]) -> Summary:
    """All of them, none rejected."""
    summary = ingest_runs(record, [from_dicts("given", runs)])
    assert summary.rejected == 0
    return summary


def two_organizations(record: Record, zones: tuple[str, str] = ("Europe/Berlin", "Australia/Lord_Howe")) -> None:
    """acme and globex, 400 runs each, with everything unknown that may be, around a change of the clocks."""
    for slug, zone in zip(("acme", "globex"), zones, strict=True):
        set_organization(record, slug, timezone=zone)
        ingest(record, any_runs(slug))


def any_runs(organization: str) -> list[dict[str, Any]]:
    """The same 400 each time."""
    return [_any_run(Random(f"{organization}{number}"), organization, number) for number in range(400)]


def _any_run(random: Random, organization: str, number: int) -> dict[str, Any]:
    started = NOW - timedelta(seconds=random.randrange(0, 40 * 86400))
    status = random.choice(["running", "succeeded", "succeeded", "failed", "cancelled"])
    ended = status != "running" and random.random() < 0.8
    duration = timedelta(microseconds=random.choice([0, 1, 999_999, 60_000_000, random.randrange(10**10)]))
    return {
        "organization": organization,
        "run_id": f"run-{number}",
        "user": random.choice([None, "ada", "bo", "zoë"]),
        "team": random.choice([None, "Search", "Payments", "a'b\"c, d"]),
        "agent_type": random.choice(["review", "test", "= 1+1"]),
        "status": status,
        "started_at": started.isoformat(),
        "ended_at": (started + duration).isoformat() if ended else None,
        "model": random.choice([None, "m-1", "m-2"]),
        "input_tokens": random.choice([None, 0, random.randrange(10**6), 10**12]),
        "output_tokens": random.choice([None, 0, random.randrange(10**6)]),
        "cost": random.choice([None, "0", "0.000000001", f"{random.random():.9f}", "123456.789"]),
        "retries": random.randrange(3),
        "error_category": random.choice(["timeout", "tool"]) if status == "failed" else None,
    }
