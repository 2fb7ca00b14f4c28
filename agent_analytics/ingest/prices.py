"""What tokens cost: the dated price table of `genai-prices`, offline and exact.

The table's own calculation takes 0.1 ms a run. Here each of its prices is read once, as the rates of the token
counts that a run record has, and multiplied in decimals: the same result (a test compares them) a hundred times faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

MOST_MODELS = 10_000
_MILLION = 1_000_000
_ANY_PROVIDER = "litellm"  # read a model's name with or without its provider before a slash


@dataclass(frozen=True)
class Rate:
    """US dollars a million tokens; a tier's rate holds for all tokens of a run with more input than its start."""

    base: Decimal
    tiers: Sequence[tuple[int, Decimal]] = ()

    def at(self, input_tokens: int) -> Decimal:
        return next((rate for start, rate in self.tiers if input_tokens > start), self.base)


@dataclass(frozen=True)
class Rates:
    """The rates of one price. None: such tokens have no rate of their own, or no price at all."""

    input: Rate | None
    cache_read: Rate | None
    cache_write: Rate | None
    output: Rate | None
    reasoning: Rate | None

    def cost(
        self, input_tokens: int, output_tokens: int, cache_read: int, cache_write: int, reasoning: int
    ) -> tuple[Decimal, Decimal] | None:
        parts = ((self.cache_read, cache_read), (self.cache_write, cache_write))
        input_cost = _sum(self.input, input_tokens, parts, input_tokens)
        output_cost = _sum(self.output, output_tokens, ((self.reasoning, reasoning),), input_tokens)
        return None if input_cost is None or output_cost is None else (input_cost, output_cost)


def _sum(rate: Rate | None, tokens: int, parts: Sequence[tuple[Rate | None, int]], input_tokens: int) -> Decimal | None:
    """The dollars of `tokens`, of which `parts` with a rate of their own are counted at that."""
    total = Decimal(0)
    for part, count in parts:
        if part is not None and count:
            total += part.at(input_tokens) * count
            tokens -= count
    if tokens:
        if rate is None:
            return None
        total += rate.at(input_tokens) * tokens
    return total / _MILLION


class PriceTable:
    """The bundled table; each instance remembers the models that it was asked for."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._snapshot = DataSnapshot(get_snapshot().providers, from_auto_update=False)
        self._models: dict[str, ModelInfo | None] = {}
        self._rates: dict[int, Rates | None] = {}

    def cost(
        self,
        model: str | None,
        started_at: datetime,
        input_tokens: int | None,
        output_tokens: int | None,
        cache_read: int,
        cache_write: int,
        reasoning: int,
    ) -> tuple[Decimal, Decimal] | None:
        """What a run's input and output cost in US dollars; None where the table or the counts do not say.

        Input includes cached tokens, output includes reasoning; parts that are not known count as the whole.
        """
        if model is None or input_tokens is None or output_tokens is None:
            return None
        rates = self._rates_at(model, started_at)
        return None if rates is None else rates.cost(input_tokens, output_tokens, cache_read, cache_write, reasoning)

    def _rates_at(self, name: str, started_at: datetime) -> Rates | None:
        if name not in self._models:
            self._models[name] = self._find(name)
        model = self._models[name]
        if model is None:
            return None
        price = model.get_prices(started_at)
        if id(price) not in self._rates:
            self._rates[id(price)] = _rates(price)
        return self._rates[id(price)]

    def _find(self, name: str) -> ModelInfo | None:
        if len(self._models) >= MOST_MODELS:
            self._forget()
        try:
            return self._snapshot.find_provider_model(name, None, _ANY_PROVIDER, None)[1]
        except LookupError:
            return None


def _rates(price: ModelPrice) -> Rates | None:
    """None where tokens have no price, or requests have one too: a run does not say how many it made."""
    keys = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok", "output_reasoning_mtok")
    rates = [_rate(getattr(price, key)) for key in keys]
    return None if price.requests_kcount is not None or not any(rates) else Rates(*rates)


def _rate(price: Decimal | TieredPrices | None) -> Rate | None:
    if isinstance(price, TieredPrices):
        return Rate(price.base, [(tier.start, tier.price) for tier in reversed(price.tiers)])
    return None if price is None else Rate(price)
