"""What may be asked of published lines: nothing that would reveal more than the lines themselves."""

from agent_analytics.catalog import MEASURES, Measure
from agent_analytics.errors import Forbidden
from agent_analytics.query import Query
from agent_analytics.tables import published_lines

SPLITS = ("day", "week", "month", "agent_type")
FILTERS = ("agent_type",)
FEWEST_ACTIVE = 10
NOTHING_YET = (
    f"Nothing is published yet: an organization with fewer than {FEWEST_ACTIVE} active people publishes nothing, "
    "and elsewhere figures wait until they tell of nobody."
)


def is_published(measure: Measure) -> bool:
    """Whether lines hold all that it is counted from, so that it can be told of sums of lines."""
    return all(part.adds and part.name in published_lines.c for part in measure.parts)


def check(query: Query) -> None:
    """Raises Forbidden, with the reason, for what is not answered from published lines."""
    for name in query.measures:
        if not is_published(MEASURES[name]):
            known = ", ".join(each for each in MEASURES if is_published(MEASURES[each]))
            raise Forbidden(
                f"{name} may not be asked for anonymously: {_reason(MEASURES[name])}. Ask for one of {known}."
            )
    for name in query.by:
        if name not in SPLITS:
            raise Forbidden(f"Anonymous figures are not split by {name}, only by {', '.join(SPLITS)}: {_FINER}.")
    for name, _ in query.where:
        if name not in FILTERS:
            raise Forbidden(f"Anonymous figures are not filtered by {name}, only by {', '.join(FILTERS)}: {_FINER}.")


_FINER = "a published line is of one day and one agent type, and nothing finer is told"


def _reason(measure: Measure) -> str:
    if measure.name == "running":
        return "only runs that have ended are published"
    return "published figures are sums, and it cannot be told from sums"
