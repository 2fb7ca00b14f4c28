"""How soon a change at the identity provider takes effect everywhere, in seconds: each step, and what they add up to.

Say the provider changed its mind right after it was asked about a person. Then it takes at most

- at a page, and with a copied cookie: CHECK_EVERY until the hub asks again, CHECK_PATIENCE until it has an answer
  (a slower provider counts as out of reach), and REMEMBER while a service still believes the answer before;
- on an open page and its websocket: CHECK_EVERY, then SWEEP_EVERY until the sweep that asks the hub anew, then
  SWEEP_PATIENCE. A sweep asks about everybody at once and ends before the next begins, so nobody waits for a slow one;
- with a token of a kernel, also copied out of it: it counts TOKEN from when the service asked the hub, who answered by
  what it knew (CHECK_EVERY), or from a page opened by what the service remembered of that (REMEMBER);
- with an access token of a machine client: BEARER, then CHECK_PATIENCE; where the provider cannot be asked, the
  token's whole life, which may then be no longer than SHORT.

A provider or a hub that cannot be reached tells of no change. Then the rights verified last serve for reading until
`valid_until`, and whoever reads is told so; whatever writes wants rights that are not `stale`.
"""

from datetime import datetime, timedelta

CHECK_EVERY = 20
CHECK_PATIENCE = 8
REMEMBER = 10
SWEEP_EVERY = 10
SWEEP_PATIENCE = 9
TOKEN = 25
BEARER = 10
SHORT = 60

LONGEST = {
    "page and cookie": CHECK_EVERY + CHECK_PATIENCE + REMEMBER,
    "open page and websocket": CHECK_EVERY + SWEEP_EVERY + SWEEP_PATIENCE,
    "token of a kernel": CHECK_EVERY + REMEMBER + TOKEN,
    "access token, introspected": BEARER + CHECK_PATIENCE,
    "access token, short": SHORT,
}
BOUND = 60


def is_stale(verified_at: datetime, now: datetime) -> bool:
    """Whether rights were verified longer ago than they are while everything can be reached."""
    return abs(now - verified_at) > timedelta(seconds=BOUND)


def notice(verified_at: datetime, valid_until: datetime, now: datetime) -> str:
    """What a reader is told of rights that are stale; nothing of others."""
    if not is_stale(verified_at, now):
        return ""
    return (
        f"Your rights could not be checked since {verified_at:%H:%M} UTC: the sign-in service cannot be reached. "
        f"Until {valid_until:%H:%M} UTC you can go on reading with the rights you had then."
    )
