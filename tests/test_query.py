"""What is asked: plain data, checked against the catalog."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_analytics.catalog import DIMENSIONS, MEASURES
from agent_analytics.errors import QueryError
from agent_analytics.period import Days, Last
from agent_analytics.query import Query

names = st.text(min_size=1, max_size=20)
periods = st.one_of(
    st.builds(Last, st.integers(1, 366)),
    st.dates(date(2000, 1, 1), date(2100, 1, 1)).map(lambda day: Days(day, day)),
)


@st.composite
def queries(draw: st.DrawFn) -> Query:
    measures = draw(st.lists(st.sampled_from(sorted(MEASURES)), min_size=1, max_size=4, unique=True))
    by = draw(st.lists(st.sampled_from(sorted(DIMENSIONS)), max_size=3, unique=True))
    values = st.lists(st.one_of(st.none(), names), min_size=1, max_size=3)
    where = draw(st.dictionaries(st.sampled_from(["team", "user", "model"]), values, max_size=2))
    order = draw(st.one_of(st.none(), st.sampled_from([*measures, *by])))
    limit = draw(st.one_of(st.none(), st.integers(1, 1000)))
    other = bool(limit and by) and draw(st.booleans())
    return Query(measures, by, where, draw(periods), order, limit, other, draw(st.booleans()))


@given(queries())
def test_a_query_survives_json(query: Query) -> None:
    assert Query.from_json(query.to_json()) == query
    assert hash(Query.from_json(query.to_json())) == hash(query)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"measures": ["cots"]}, "Unknown measure 'cots'. Did you mean 'cost'?"),
        ({"measures": ["runs"], "by": ["taem"]}, "Unknown dimension 'taem'. Did you mean 'team'?"),
        ({"measures": ["runs"], "where": {"modle": ["x"]}}, "Unknown filter 'modle'. Did you mean 'model'?"),
        ({"measures": ["runs"], "order": "cost"}, "Unknown order 'cost'. Known: runs."),
        ({"measures": []}, "Ask for at least one measure."),
        ({"measures": "runs"}, "measures must be a list of names."),
        ({"measures": ["runs"], "where": {"team": "x"}}, "where.team must be a list of texts or nulls."),
        ({"measures": ["runs"], "where": {"team": [{"$ne": 1}]}}, "where.team must be a list"),
        ({"measures": ["runs"], "limit": True}, "limit must be a whole number."),
        ({"measures": ["runs"], "limit": 0}, "The limit is 0; use 1 to 100000."),
        ({"measures": ["runs"], "limit": 100_001}, "The limit is 100001; use 1 to 100000."),
        (
            {"measures": ["runs"], "by": ["team"], "limit": 1001, "other": True},
            "The limit is 1001; use 1 to 1000 with other.",
        ),
        ({"measures": ["runs"], "by": ["team"], "other": True}, "other adds up what is beyond a limit; give a limit"),
        ({"measures": ["runs"], "limit": 5, "other": True}, "other adds up what is beyond a limit; give a limit"),
        ({"measures": ["runs"], "other": 1}, "other must be true or false."),
        ({"measures": ["runs"], "before": "yes"}, "before must be true or false."),
        ({"measures": ["runs"], "last": "367d"}, "The last 367 days cannot be asked for; use 1 to 366."),
        ({"measures": ["runs"], "from": "2025-01-01", "to": "2026-01-02"}, "2025-01-01 to 2026-01-02 is 367 days"),
        ({"measures": ["runs"], "scope": "all"}, "Unknown field 'scope'."),
        ({"measures": ["runs"], "last": "30d", "from": "2026-01-01"}, "Give either last, or from and to"),
        ({"measures": ["runs"], "from": "2026-01-01"}, "Give both from and to."),
        ({"measures": ["runs"], "last": 30}, "last must be a text."),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError) as failure:
        Query.from_json(asked)
    assert str(failure.value).startswith(message)


def test_a_bare_text_is_not_a_list_of_names() -> None:
    with pytest.raises(QueryError, match=r"Write \['runs'\]"):
        Query("runs")
