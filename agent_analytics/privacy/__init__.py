"""What people may learn of others: lines that tell of nobody, and a rank."""

from agent_analytics.privacy.publishing import Published, publish
from agent_analytics.ranking import Rank, rank

__all__ = ["Published", "Rank", "publish", "rank"]
