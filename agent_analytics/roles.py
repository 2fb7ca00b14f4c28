"""The words for who may what."""

import re

ROLES = ("ORG_ADMIN", "TEAM_LEAD", "MEMBER", "PLATFORM_ADMIN")
ORGANIZATION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
