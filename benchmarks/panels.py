"""What the organization page asks: every panel's question over a period, as one call."""

from collections.abc import Mapping, Sequence

from agent_analytics.period import Days
from agent_analytics.query import Query

FILTERS = {"team": ["team-03", "team-07", "team-11"], "agent_type": ["agent-01", "agent-02"]}
BREAKDOWN = ("runs", "total_tokens", "cost", "success_rate")
CARDS = ("runs", "total_tokens", "cost", "cost_coverage", "success_rate", "duration_avg", "active_users")


def page(days: Days, where: Mapping[str, Sequence[str]] | None = None) -> list[Query]:
    """Cards, the daily series with the quantiles of duration, the breakdowns and the three top tens of users."""
    filters: Mapping[str, Sequence[str]] = where or {}
    asked = [
        (CARDS, (), None),
        (("runs",), ("day",), None),
        (("total_tokens",), ("day",), None),
        (("cost",), ("day",), None),
        (("success_rate",), ("day",), None),
        (("duration_avg", "duration_p50", "duration_p95"), ("day",), None),
        (BREAKDOWN, ("team",), None),
        (BREAKDOWN, ("agent_type",), None),
        (BREAKDOWN, ("model",), None),
        (("runs", "total_tokens", "cost"), ("user",), "runs"),
        (("runs", "total_tokens", "cost"), ("user",), "total_tokens"),
        (("runs", "total_tokens", "cost"), ("user",), "cost"),
    ]
    return [
        Query(measures, by, filters, days, order, 10 if order else None, other=bool(order))
        for measures, by, order in asked
    ]


def before(days: Days) -> list[Query]:
    """The cards of the period before."""
    return [Query(CARDS, period=days, before=True)]
