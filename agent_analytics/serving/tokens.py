"""Our own short-lived tokens, by which a process or a kernel asks the API as the person it serves."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from agent_analytics import keys
from agent_analytics.errors import Forbidden, UsageError
from agent_analytics.scope import Principal
from agent_analytics.serving import rhythm

AUDIENCE = "agent-analytics-api"
TYPE = "aa+jwt"
SKEW = 60
_ALGORITHM = "Ed25519"


@dataclass(frozen=True)
class Vouched:
    """Whom a token speaks for, and when the identity provider last said so."""

    principal: Principal
    verified_at: datetime


def issue(
    home: Path, principal: Principal, now: datetime, seconds: int = rhythm.TOKEN, verified_at: datetime | None = None
) -> str:
    """A token by which its bearer is `principal` until `seconds` after `now`; verified now, if nothing else is said."""
    start = int(now.timestamp())
    verified = start if verified_at is None else int(verified_at.timestamp())
    claims = {"aud": AUDIENCE, "iat": start, "exp": start + seconds, "verified_at": verified}
    claims |= {"principal": principal.to_json()}
    return jwt.encode({"alg": _ALGORITHM, "typ": TYPE}, claims, _key(home), algorithms=[_ALGORITHM])


def verify(home: Path, token: str, now: datetime) -> Vouched:
    """Whom a token speaks for at `now`; raises Forbidden for any that `issue` did not make, or made too long ago."""
    try:
        found = jwt.decode(token, _key(home), algorithms=[_ALGORITHM])
        claims = found.claims
        if found.header.get("typ") != TYPE or claims["aud"] != AUDIENCE:
            raise Forbidden("The token is not valid.")
        if not claims["iat"] - SKEW <= now.timestamp() < claims["exp"]:
            raise Forbidden("The token has expired.")
        return Vouched(Principal.from_json(claims["principal"]), datetime.fromtimestamp(claims["verified_at"], UTC))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError, UsageError):
        raise Forbidden("The token is not valid.") from None


def unverified_header(token: str) -> dict[str, Any] | None:
    """What a token's header claims, to choose who verifies it; None for one that has none."""
    first, dot, _ = token.partition(".")
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))) if dot else None
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


@lru_cache(maxsize=4)
def _key(home: Path) -> OKPKey:
    text = keys.secret(home, "token-key", lambda: json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
    return OKPKey.import_key(json.loads(text))
