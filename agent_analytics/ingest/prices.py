"""What a run cost whose source did not say: from `genai-prices`, a table that knows since when each price holds."""

from decimal import ROUND_HALF_EVEN
from functools import lru_cache

from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo

from agent_analytics.ingest.records import MONEY, NANO, Run

REPORTED, COMPUTED = "reported", "computed"


def settle_source(run: Run) -> str | None:
    """Price the run where it came without any amount; where its cost is from, None for unpriced."""
    if any(getattr(run, field) is not None for field in MONEY):
        return REPORTED if run.cost is not None else None
    return COMPUTED if _price(run) else None


def _price(run: Run) -> bool:
    """By the model's price at the run's start; an unknown model or count leaves the cost unknown."""
    if run.model is None or run.input_tokens is None or run.output_tokens is None:
        return False
    model = _model(run.model)
    if model is None:
        return False
    usage = Usage(
        input_tokens=run.input_tokens,
        output_tokens=run.output_tokens,
        cache_read_tokens=run.cache_read_tokens,
        cache_write_tokens=run.cache_write_tokens,
    )
    try:
        price = model.get_prices(run.started_at).calc_price(usage)
    except (ValueError, LookupError):
        return False
    run.input_cost = price["input_price"].quantize(NANO, ROUND_HALF_EVEN)
    run.output_cost = price["output_price"].quantize(NANO, ROUND_HALF_EVEN)
    run.cost = run.input_cost + run.output_cost
    return True


@lru_cache(maxsize=4096)
def _model(name: str) -> ModelInfo | None:
    """The model of that name; a prefix such as `openai/` names its provider."""
    try:
        return get_snapshot().find_provider_model(name, None, "litellm" if "/" in name else None, None)[1]
    except LookupError:
        return None
