"""The choice of a period, as a standard ipywidget."""

from collections.abc import Sequence

import ipywidgets

from agent_analytics.errors import PeriodError


def choice(periods: Sequence[int], days: int) -> ipywidgets.ToggleButtons:
    """Buttons for the last so many days; raises PeriodError for a first choice that is none of them."""
    if days not in periods:
        offered = ", ".join(map(str, periods))
        raise PeriodError(f"This page does not show the last {days} days. It has: {offered}.")
    options = [(f"{number} days", number) for number in periods]
    return ipywidgets.ToggleButtons(options=options, value=days, description="Period")
