"""A run without a cost is priced from the dated table: to the digit as the table's own calculation, or not at all."""

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from agent_analytics.ingest import from_dicts, ingest_runs
from agent_analytics.ingest.prices import PriceTable
from agent_analytics.store import Record
from given import a_run

Rows = Callable[..., list[dict[str, Any]]]
Costs = tuple[Decimal, Decimal]
COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "output_reasoning_tokens")
MOMENTS = [datetime(2024, 6, 1, 12, tzinfo=UTC), datetime(2026, 11, 20, 2, tzinfo=UTC)]


def of_the_table(model: str, at: datetime, counts: dict[str, int]) -> Costs | None:
    """The table's own calculation, which takes an unknown price for nothing."""
    try:
        found = calc_price(Usage(**counts), model, provider_id="litellm", genai_request_timestamp=at)
    except LookupError:
        return None
    return found.input_price, found.output_price


def of_ours(prices: PriceTable, model: str, at: datetime, counts: dict[str, int]) -> Costs | None:
    return prices.cost(model, at, *(counts.get(name, 0) for name in COUNTS))


def usages() -> Iterator[tuple[str, dict[str, int]]]:
    """Every model of the table, with small and large inputs (tiers), cached, written and reasoning tokens."""
    random = Random(1)
    for provider in get_snapshot().providers:
        for model in provider.models:
            for most in (1000, 300_000, 2_000_000):
                whole, made = random.randrange(1, most), random.randrange(1, most)
                read = random.randrange(whole)
                values = (whole, made, read, random.randrange(whole - read), random.randrange(made))
                yield f"{provider.id}/{model.id}", dict(zip(COUNTS, values, strict=True))


def test_prices_equal_the_tables_own_calculation_for_every_model() -> None:
    prices, equal = PriceTable(), 0
    for number, (model, counts) in enumerate(usages()):
        at = MOMENTS[number % 2]
        ours, theirs = of_ours(prices, model, at, counts), of_the_table(model, at, counts)
        if ours is not None:
            assert (model, ours) == (model, theirs)
            equal += 1
    assert equal > 5000


def test_a_model_has_no_price_only_where_the_table_has_none() -> None:
    prices = PriceTable()
    for model, counts in usages():
        if of_ours(prices, model, MOMENTS[1], counts) is None and of_the_table(model, MOMENTS[1], counts):
            found = get_snapshot().find_provider_model(model, None, "litellm", None)[1].get_prices(MOMENTS[1])
            assert found.requests_kcount is not None or found.input_mtok is None or found.output_mtok is None


def test_real_usages_cost_what_is_expected(shared: Path) -> None:
    """Where the installed table still has the price of the day on which the expectation was written."""
    prices, equal = PriceTable(), 0
    with gzip.open(shared / "prices-genai" / "usages.json.gz") as file:
        bodies = [body for body in json.load(file) if body.get("model")]
    for body in bodies:
        for extracted in body["extracted"]:
            counts = extracted["usage"]
            for expected in extracted["extractors"]:
                if "input_price" not in expected or not set(counts) <= set(COUNTS):
                    continue
                model = f"{expected['provider_id']}/{body['model']}"
                cost = (Decimal(expected["input_price"]), Decimal(expected["output_price"]))
                if any(cost) and of_the_table(model, MOMENTS[1], counts) == cost:
                    assert (model, of_ours(prices, model, MOMENTS[1], counts)) == (model, cost)
                    equal += 1
    assert equal > 2500


PRICED: list[tuple[dict[str, Any], tuple[str | None, ...], str | None]] = [
    ({"model": "gpt-4o"}, ("0.0025", "0.001", "0.0035"), "computed"),
    ({"model": "openai/gpt-4o"}, ("0.0025", "0.001", "0.0035"), "computed"),
    ({"model": "gpt-4o", "cache_read_tokens": 400}, ("0.002", "0.001", "0.003"), "computed"),
    ({"model": "gpt-4o", "input_tokens": 1, "output_tokens": 0}, ("0.0000025", "0", "0.0000025"), "computed"),
    ({"model": "gpt-4o", "output_tokens": None}, (None, None, None), None),
    ({"model": "gpt-4o", "input_tokens": None}, (None, None, None), None),
    ({"model": "in-house-1"}, (None, None, None), None),
    ({"model": None}, (None, None, None), None),
    # Requests have a price too, and nobody knows how many there were; a subscription has none for tokens.
    ({"model": "perplexity/sonar"}, (None, None, None), None),
    ({"model": "github-copilot/gpt-4o"}, (None, None, None), None),
]


def test_costs_computed(record: Record, rows: Rows) -> None:
    sent = [a_run(f"{number}", input_cost=None, output_cost=None, **case[0]) for number, case in enumerate(PRICED)]
    assert ingest_runs(record, [from_dicts("priced", sent)]).accepted == len(PRICED)
    found = {int(run["run_id"]): run for run in rows()}
    for number, (fields, costs, source) in enumerate(PRICED):
        run = found[number]
        expected = tuple(cost and Decimal(cost) for cost in costs)
        assert (fields, run["input_cost"], run["output_cost"], run["cost"]) == (fields, *expected)
        assert run["cost_source"] == source
