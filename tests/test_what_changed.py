"""What changed is split exactly, whatever changed: against all orders, and by what must hold of any split."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_analytics.answer import Answer
from agent_analytics.errors import QueryError
from agent_analytics.period import Days, Last
from agent_analytics.query import Query
from agent_analytics.rounding import FINE, rounded
from agent_analytics.what_changed import FACTORS, RUN_FACTORS, Change, Total, question, what_changed
from given import NOW

NANO = Decimal("1e-9")
DAYS = Days(date(2026, 3, 1), date(2026, 3, 7))
NAMES = st.sampled_from([None, "", "review", "<b>test</b>"])
KEYS = st.tuples(NAMES, st.sampled_from([None, "m-1"]), st.sampled_from(["failed", "succeeded", "running"]))
TOKENS = st.one_of(st.none(), st.just(0), st.integers(1, 1000))
COST = st.one_of(st.none(), st.integers(0, 10**12).map(lambda nanos: nanos * NANO))
FIGURES = st.tuples(st.integers(1, 20), TOKENS, TOKENS, COST, COST, COST)
ROWS = st.dictionaries(KEYS, FIGURES, max_size=6).map(lambda groups: [(*key, *groups[key]) for key in groups])

# Of one run: input and output tokens, their price in nano-dollars, other cost in nano-dollars.
SOME = st.integers(1, 1000)
ONE_RUN = st.tuples(SOME, SOME, SOME, SOME, st.integers(-50, 1000))
UNMIXED = KEYS.filter(lambda key: key[2] != "running")
PLANS = st.dictionaries(UNMIXED, st.tuples(st.integers(1, 20), ONE_RUN), min_size=1, max_size=6)
Plan = dict[Any, tuple[int, tuple[int, ...]]]


def an_answer(rows: Iterable[tuple[Any, ...]], query: Query | None = None) -> Answer:
    return Answer(query or question(Last(7)), DAYS, "UTC", "", NOW, "record", tuple(rows))


def changed(before: Iterable[tuple[Any, ...]], after: Iterable[tuple[Any, ...]]) -> Change:
    return what_changed(an_answer(before), an_answer(after))


def rows_of(plan: Plan) -> list[tuple[Any, ...]]:
    return [(*key, *_figures(runs, *one)) for key, (runs, one) in plan.items()]


def _figures(runs: int, taken: int, made: int, taken_price: int, made_price: int, other: int) -> tuple[Any, ...]:
    costs = (runs * taken * taken_price, runs * made * made_price)
    return (runs, runs * taken, runs * made, *(nanos * NANO for nanos in (*costs, sum(costs) + runs * other)))


def scaled(rows: list[Any], times: int) -> list[Any]:
    return [(*row[:3], *(figure and figure * times for figure in row[3:])) for row in rows]


def amounts(parts: Iterable[Any]) -> list[Decimal]:
    return [part.amount for part in parts]


def moved(change: Change) -> set[str]:
    """The factors that are not 0 anywhere."""
    splits = [change.parts, *(each.parts for each in change.contributions)]
    return {part.factor for parts in splits for part in parts if part.amount}


@given(ROWS, ROWS)
def test_everything_adds_up_to_the_last_digit(before: list[Any], after: list[Any]) -> None:
    change = changed(before, after)
    assert change.before == Total(sum(row[3] for row in before), sum(row[-1] or 0 for row in before))
    assert change.after == Total(sum(row[3] for row in after), sum(row[-1] or 0 for row in after))
    assert_adds_up(change.parts, change.contributions, FACTORS, change.after.cost - change.before.cost)
    assert_adds_up(change.run_parts, change.run_contributions, RUN_FACTORS, change.after.runs - change.before.runs)
    assert amounts(change.run_parts) == [change.after.runs - change.before.runs, 0]


def assert_adds_up(parts: Any, contributions: Any, factors: tuple[str, ...], difference: Decimal | int) -> None:
    assert tuple(part.factor for part in parts) == factors
    assert sum(amounts(parts)) == difference
    assert all(sum(amounts(each.parts)) == each.total for each in contributions)
    assert sum(each.total for each in contributions) == difference
    for place, amount in enumerate(amounts(parts)):
        assert sum((each.parts[place].amount for each in contributions), Decimal()) == amount
    sizes = [abs(each.total) for each in contributions]
    assert sizes == sorted(sizes, reverse=True)


@given(ROWS, ROWS)
def test_it_is_the_average_over_all_orders(before: list[Any], after: list[Any]) -> None:
    change, exact = changed(before, after), over_all_orders(before, after)
    assert {(each.agent_type, each.model) for each in change.contributions} == set(exact)
    for each in change.contributions:
        assert_rounded(amounts(each.parts), exact[each.agent_type, each.model])
    assert_rounded(amounts(change.parts), [sum(column) for column in zip([0] * 5, *exact.values(), strict=False)])


def assert_rounded(found: list[Decimal], exact: list[Any]) -> None:
    """Up or down to nine digits; what is whole is as it is."""
    for amount, expected in zip(found, exact, strict=True):
        error = abs(Fraction(amount) - expected) * 10**9
        assert error == 0 if (expected * 10**9).denominator == 1 else error < 1


def over_all_orders(before: list[Any], after: list[Any]) -> dict[Any, list[Fraction]]:
    """By cell, what each factor adds when it moves, averaged over the 120 orders."""
    periods = [groups_of(before), groups_of(after)]
    kinds_of = [(*each, kind) for groups in periods for each in groups.items() for kind in (1, 2, 3)]
    by_run = {(*key, kind) for key, kinds, kind in kinds_of if kinds[kind][1] and not kinds[kind][0]}
    cells = {row[:2] for row in [*before, *after]}
    worlds = [factors_of(groups, cells, by_run) for groups in periods]
    for own, other in (worlds, worlds[::-1]):
        for mine, theirs in zip(own, other, strict=True):
            mine.update({key: value for key, value in theirs.items() if key not in mine})
    return {cell: _averages(cell, worlds) for cell in cells}


def _averages(cell: Any, worlds: list[Any]) -> list[Fraction]:
    sides = product((0, 1), repeat=5)
    cost = {at: cell_cost(cell, *(worlds[side][place] for place, side in enumerate(at))) for at in sides}
    gained = [Fraction()] * 5
    for order in permutations(range(5)):
        at = (0,) * 5
        for factor in order:
            later = (*at[:factor], 1, *at[factor + 1 :])
            gained[factor], at = gained[factor] + cost[later] - cost[at], later
    return [gain / 120 for gain in gained]


def cell_cost(cell: Any, volume: Any, mix: Any, failures: Any, quantity: Any, price: Any) -> Fraction:
    own = [key for key in quantity if key[0] == cell]
    of_one_run = sum((failures[key[:2]] * quantity[key] * price.get(key, 0) for key in own), Fraction())
    return volume[()] * mix[cell] * of_one_run


def groups_of(rows: list[Any]) -> dict[Any, list[tuple[int, Fraction]]]:
    """By cell and whether failed: runs, and tokens and cost of input, output and the rest."""
    groups: dict[Any, list[Any]] = {}
    for row in rows:
        runs, taken, made, a, b, cost = (value or 0 for value in row[3:])
        known = groups.setdefault((row[:2], row[2] == "failed"), [(0, 0)] * 4)
        kinds = zip(known, [(runs, 0), (taken, a), (made, b), (0, cost - a - b)], strict=True)
        known[:] = [(tokens + more, total + much) for (tokens, total), (more, much) in kinds]
    return groups


def factors_of(groups: dict[Any, Any], cells: set[Any], by_run: set[Any]) -> list[dict[Any, Fraction]]:
    """A period's five factors by what they are of, without the undefined ones."""
    runs_of = {cell: sum(kinds[0][0] for (own, _), kinds in groups.items() if own == cell) for cell in cells}
    volume = sum(runs_of.values())
    mix = {cell: Fraction(runs, volume) for cell, runs in runs_of.items() if volume}
    failures, quantity, price = {}, {}, {}
    for key in [(cell, failed) for cell in cells for failed in (True, False) if runs_of[cell]]:
        (runs, _), *kinds = groups.get(key, [(0, 0)] * 4)
        failures[key] = Fraction(runs, runs_of[key[0]])
        for kind, (tokens, cost) in enumerate(kinds, 1) if runs else ():
            counted = runs if (*key, kind) in by_run else tokens
            quantity[*key, kind] = Fraction(counted, runs)
            price.update({(*key, kind): Fraction(cost) / counted} if counted else {})
    return [{(): Fraction(volume)}, mix, failures, quantity, price]


@given(ROWS, ROWS)
@example([("a", "m", "failed", 1, *[None] * 4, NANO)], [("a", "m", "failed", 2, *[None] * 4, 4 * NANO)])
def test_the_periods_swapped_flip_the_signs(before: list[Any], after: list[Any]) -> None:
    there, back = changed(before, after), changed(after, before)
    for one, other in ((there.parts, back.parts), (there.run_parts, back.run_parts)):
        assert amounts(one) == [-amount for amount in amounts(other)]
    for one, other in zip(there.contributions, back.contributions, strict=True):
        assert (one.agent_type, one.model, one.total) == (other.agent_type, other.model, -other.total)
        assert amounts(one.parts) == [-amount for amount in amounts(other.parts)]


@given(ROWS, ROWS, st.integers(2, 1000))
def test_a_thousand_times_as_much_moves_a_thousand_times_as_much(before: Any, after: Any, times: int) -> None:
    once, often = changed(before, after), changed(scaled(before, times), scaled(after, times))
    for one, many in zip(amounts(once.parts), amounts(often.parts), strict=True):
        assert abs(one * times - many) < (times + 1) * NANO


@given(ROWS, st.integers(1, 10))
def test_more_of_the_same_is_volume_and_the_same_is_nothing(rows: list[Any], times: int) -> None:
    assert moved(changed(rows, scaled(rows[::-1], times))) <= ({"volume"} if times > 1 else set())


@given(st.dictionaries(st.tuples(NAMES, NAMES), st.tuples(ONE_RUN, ONE_RUN), min_size=2, max_size=5), st.data())
def test_other_shares_of_the_runs_are_mix(cells: dict[Any, Any], data: st.DataObject) -> None:
    """Two of each five runs failed before and after; which cell has how many fives is what differs."""
    fives = [rows_of({(*cell, "failed"): (2, one), (*cell, "running"): (3, two)}) for cell, (one, two) in cells.items()]
    sizes = data.draw(st.lists(SOME, min_size=len(cells), max_size=len(cells)))
    orders = (sizes, data.draw(st.permutations(sizes)))
    sides = [[row for five, size in zip(fives, order, strict=True) for row in scaled(five, size)] for order in orders]
    assert moved(changed(*sides)) <= {"mix"}


@given(ONE_RUN, ONE_RUN, st.integers(1, 9), st.integers(1, 9))
def test_other_shares_that_failed_are_failures(failed: Any, other: Any, before: int, after: int) -> None:
    keys = [("a", "m", "failed"), ("a", "m", "succeeded")]
    sides = [{keys[0]: (count, failed), keys[1]: (10 - count, other)} for count in (before, after)]
    assert moved(changed(*map(rows_of, sides))) <= {"failures"}


@given(PLANS, st.data())
@pytest.mark.parametrize(("factor", "places"), [(FACTORS[3], (0, 1)), (FACTORS[3], (1,)), (FACTORS[4], (2, 3, 4))])
def test_other_tokens_and_prices_are_just_that(factor: str, places: Any, plan: Plan, data: st.DataObject) -> None:
    other = {key: data.draw(ONE_RUN) for key in plan}
    mixed = {key: [other[key][at] if at in places else one[at] for at in range(5)] for key, (_, one) in plan.items()}
    later = {key: (runs, tuple(mixed[key])) for key, (runs, _) in plan.items()}
    assert moved(changed(rows_of(plan), rows_of(later))) <= {factor}


@given(ROWS, ROWS)
def test_a_new_agent_type_moves_mix_and_volume_alone(common: list[Any], own: list[Any]) -> None:
    new = [("new", *row[1:]) for row in {row[1:3]: row for row in own}.values()]
    for sides in ((common, common + new), (common + new, common)):
        assert moved(changed(*sides)) <= {"volume", "mix"}


@given(ROWS)
def test_from_nothing_to_something_is_volume(rows: list[Any]) -> None:
    assert moved(changed([], rows)) | moved(changed(rows, [])) <= {"volume"}


def test_nothing_at_all() -> None:
    change = changed([], [])
    assert amounts((*change.parts, *change.run_parts)) == [0] * 7
    assert change.contributions == change.run_contributions == ()
    assert change.before == change.after == Total(0, Decimal(0))


def test_the_unknown_counts_as_nothing() -> None:
    unknown = [(None, None, "running", runs, None, None, None, None, None) for runs in (3, 5)]
    change = changed(unknown[:1], unknown[1:])
    assert amounts(change.parts) == [0] * 5
    assert amounts(change.run_parts) == [2, 0]


def test_more_and_longer_runs() -> None:
    """10 runs of 100 tokens become 20 of 150, at $0.01: 10 x 125 are more runs, 15 x 50 are longer ones."""
    before = ("review", "m-1", "succeeded", 10, 1000, 0, Decimal(10), Decimal(0), Decimal(10))
    after = ("review", "m-1", "succeeded", 20, 3000, 0, Decimal(30), Decimal(0), Decimal(30))
    change = changed([before], [after])
    assert dict(change.parts) == dict(zip(FACTORS, map(Decimal, ("12.5", "0", "0", "7.5", "0")), strict=True))
    assert [(each.agent_type, each.model, each.total) for each in change.contributions] == [("review", "m-1", 20)]


def test_a_source_that_knows_only_totals_changes_its_price() -> None:
    rows = [("review", None, "failed", 10, None, None, None, None, Decimal(cost)) for cost in (10, 25)]
    assert dict(changed(rows[:1], rows[1:]).parts)["price"] == 15


def test_what_cancels_out_is_nothing_in_the_whole() -> None:
    """Runs that all cost the same move from one model to another: -0.625 and 0.625 nano-dollars."""
    sides = [
        [("a", f"m{number}", "running", runs, None, None, None, None, runs * NANO) for number, runs in enumerate(side)]
        for side in ((1, 1, 1), (3, 4, 5))
    ]
    change = changed(*sides)
    assert amounts(change.parts) == [9 * NANO, 0, 0, 0, 0]
    assert amounts(change.run_parts) == [9, 0]
    assert any(each.parts[1].amount for each in change.contributions)


def test_equals_come_by_name_and_those_without_one_last() -> None:
    cells = [(None, None), ("b", None), ("a", None), ("a", "z"), ("", "z")]
    after = [(*cell, "failed", 1, None, None, None, None, Decimal(1)) for cell in cells]
    found = [(each.agent_type, each.model) for each in changed([], after).contributions]
    assert found == [("", "z"), ("a", "z"), ("a", None), ("b", None), (None, None)]


@given(st.lists(st.lists(st.integers(-9, 9), min_size=4, max_size=4), max_size=6))
@example([[2, 3, 3, 2], [2, 1, 1, 0]])
def test_rounding_holds_both_sums(quarters: list[list[int]]) -> None:
    """The example needs an exchange between columns after each row has been rounded by itself."""
    table = [[*row, -sum(row) % 4] for row in quarters]
    sums = [sum(row) // 4 for row in table]
    found = rounded([[quarter * FINE // 4 for quarter in row] for row in table], sums)
    assert [sum(row) for row in found] == sums
    for exact, whole in zip([*table, *zip(*table, strict=True)], [*found, *zip(*found, strict=True)], strict=True):
        assert abs(Fraction(sum(exact), 4) - sum(whole)) < 1
        assert all(abs(Fraction(one, 4) - other) < 1 for one, other in zip(exact, whole, strict=True))


def test_only_answers_to_its_question_are_compared() -> None:
    right, wrong = an_answer([]), an_answer([], Query(["cost"], ["agent_type"]))
    without_runs = an_answer([("a", "m", "failed", 0, None, None, None, None, NANO)])
    for pair in (*permutations((right, wrong)), (right, without_runs)):
        with pytest.raises(QueryError, match="question"):
            what_changed(*pair)


def test_both_periods_have_the_same_filters() -> None:
    one, same, other = (an_answer([], question(Last(7), {"team": team})) for team in (["a", None], [None, "a"], ["a"]))
    assert what_changed(one, same).parts == what_changed(same, one).parts
    with pytest.raises(QueryError, match="filters"):
        what_changed(one, other)
    with pytest.raises(QueryError, match="Unknown filter"):
        question(Last(7), {"colour": ["red"]})
