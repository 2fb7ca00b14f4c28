"""Our own short-lived tokens, by which a process or a kernel asks the API as the person it serves."""

import json
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from agent_analytics import keys
from agent_analytics.errors import Forbidden, UsageError
from agent_analytics.scope import Principal

AUDIENCE = "agent-analytics-api"
SECONDS = 900
_ALGORITHM = "Ed25519"


def issue(home: Path, principal: Principal, now: datetime, seconds: int = SECONDS) -> str:
    """A token by which its bearer is `principal` until `seconds` after `now`."""
    start = int(now.timestamp())
    claims = {"aud": AUDIENCE, "iat": start, "exp": start + seconds, "principal": principal.to_json()}
    return jwt.encode({"alg": _ALGORITHM, "typ": "aa+jwt"}, claims, _key(home), algorithms=[_ALGORITHM])


def verify(home: Path, token: str, now: datetime) -> Principal:
    """Whom a token speaks for at `now`; raises Forbidden for any that `issue` did not make, or made too long ago."""
    try:
        claims = jwt.decode(token, _key(home), algorithms=[_ALGORITHM]).claims
        if claims["aud"] != AUDIENCE or not claims["iat"] - 60 <= now.timestamp() < claims["exp"]:
            raise Forbidden("The token has expired.")
        return Principal.from_json(claims["principal"])
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, UsageError):
        raise Forbidden("The token is not valid.") from None


@lru_cache(maxsize=4)
def _key(home: Path) -> OKPKey:
    text = keys.secret(home, "token-key", lambda: json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
    return OKPKey.import_key(json.loads(text))
