"""Who asks: whom the bearer token of a request speaks for. Nothing else of a request says that.

Our own tokens and the identity provider's are told apart by what their headers claim to be, and then each is verified
by its own rules.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from agent_analytics.errors import Forbidden
from agent_analytics.scope import Principal
from agent_analytics.serving import rhythm, tokens
from agent_analytics.serving.oidc import ProviderUnreachable
from agent_analytics.serving.tokens import Vouched

_bearer = HTTPBearer(auto_error=False)


async def vouched(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Vouched:
    """Whom the bearer token speaks for, and when that was verified last."""
    token, now = credentials.credentials if credentials else "", datetime.now(UTC)
    try:
        if (tokens.unverified_header(token) or {}).get("typ") == tokens.TYPE:
            return tokens.verify(request.app.state.settings.home, token, now)
        return await request.app.state.machine_clients.vouched(token, now)
    except Forbidden as error:
        raise HTTPException(401, str(error), {"www-authenticate": "Bearer"}) from None
    except ProviderUnreachable:
        detail = "The identity provider cannot be asked about this token. Try again in a moment."
        raise HTTPException(503, detail, {"retry-after": str(rhythm.BEARER)}) from None


def principal(vouched: Annotated[Vouched, Depends(vouched)]) -> Principal:
    """Whom the bearer token speaks for: enough to read."""
    return vouched.principal


def verified(vouched: Annotated[Vouched, Depends(vouched)]) -> Principal:
    """Whom the bearer token speaks for, by rights that were verified just now: whatever writes wants this one."""
    if rhythm.is_stale(vouched.verified_at, datetime.now(UTC)):
        raise HTTPException(403, "Your rights could not be checked just now, so you can only read. Try again later.")
    return vouched.principal


Asking = Annotated[Principal, Depends(principal)]
Verified = Annotated[Principal, Depends(verified)]
