"""The built front end: files whose names hold a hash of what is in them."""

import json
from functools import cache
from pathlib import Path

from agent_analytics.errors import ServiceError

FRONTEND = Path(__file__).parents[1] / "frontend"
DIST = FRONTEND / "dist"


@cache
def manifest() -> dict[str, str]:
    """Each built file's own name by its plain one; raises ServiceError where nothing is built."""
    try:
        return json.loads((DIST / "manifest.json").read_text())
    except FileNotFoundError:
        raise ServiceError(f"The pages' script is not built. Run: npm ci && npm run build (in {FRONTEND})") from None


@cache
def text(name: str) -> str:
    """What is in the built file with this plain name."""
    return (DIST / manifest()[name]).read_text()
