"""What an organization's cloud AI agents do, cost and achieve.

>>> import agent_analytics as aa
>>> aa.Query(["cost"], by=["team"], period=aa.Last(7)).to_json()
{'measures': ['cost'], 'by': ['team'], 'last': '7d'}
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Answer": "answer",
    "Days": "period",
    "Last": "period",
    "Page": "page",
    "Query": "query",
    "Session": "client",
    "connect": "client",
    "load_ipython_extension": "sql_magic",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a command or a kernel pays only for what it needs."""
    if name not in _HOMES:
        raise AttributeError(f"module 'agent_analytics' has no attribute {name!r}")
    return getattr(import_module(f"agent_analytics.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
