"""What the tests of the API's rights share."""

from security.world import world

__all__ = ["world"]
