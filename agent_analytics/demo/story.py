"""What happens to an organization over the demo's days: growth, weeks, a holiday, unusual days, a switch of models."""

from collections.abc import Iterator
from datetime import date, timedelta

from agent_analytics.demo.shapes import Shape, Unusual

DAYS = 120
WEEKDAYS = (1.0, 1.05, 1.06, 1.0, 0.87, 0.16, 0.13)
HOLIDAY = 0.2
USUAL = Unusual(0)


class Story:
    """A shape's story up to the local day `last`; the days after it go on as that one."""

    def __init__(self, shape: Shape, last: date) -> None:
        self.shape = shape
        self.last = last
        self._unusual = {_workday(last - timedelta(days=event.age)): event for event in shape.unusual}
        self._holiday = (last - timedelta(days=shape.holiday)).isocalendar()[:2]

    def days(self) -> Iterator[date]:
        """The story's days, the oldest first."""
        return (self.last - timedelta(days=age) for age in range(DAYS - 1, -1, -1))

    def growth(self, day: date) -> float:
        """How large the organization is, where 1 is the story's middle; half a story later it grows no more."""
        age = min(max(self._age(day), -DAYS // 2), DAYS)
        return 1 + self.shape.growth * (0.5 - age / DAYS)

    def rhythm(self, day: date) -> float:
        """How busy people are, where 1 is a Monday; the holiday is a Thursday and its Friday."""
        if day.weekday() in (3, 4) and day.isocalendar()[:2] == self._holiday:
            return HOLIDAY
        return WEEKDAYS[day.weekday()]

    def event(self, day: date) -> Unusual:
        return self._unusual.get(day, USUAL)

    def new_model(self, day: date) -> tuple[str, str] | None:
        """The agent type that has switched by then, and the model that it uses now."""
        switch = self.shape.switch
        if switch is None or switch.model is None or self._age(day) > switch.age:
            return None
        return switch.agent_type, switch.model

    def not_yet(self, day: date) -> str | None:
        """The agent type that nobody runs before it is introduced."""
        switch = self.shape.switch
        if switch is None or switch.model is not None or self._age(day) <= switch.age:
            return None
        return switch.agent_type

    def _age(self, day: date) -> int:
        return (self.last - day).days


def _workday(day: date) -> date:
    """That day, or the Friday before a weekend."""
    return day - timedelta(days=max(0, day.weekday() - 4))
