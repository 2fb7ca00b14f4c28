"""Who asks: whom the bearer token of a request speaks for. Nothing else of a request says that."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from agent_analytics.errors import Forbidden
from agent_analytics.scope import Principal
from agent_analytics.serving import tokens

_bearer = HTTPBearer(auto_error=False)


def principal(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """Whom the bearer token speaks for."""
    try:
        return tokens.verify(request.app.state.home, credentials.credentials if credentials else "", datetime.now(UTC))
    except Forbidden as error:
        raise HTTPException(401, str(error), {"www-authenticate": "Bearer"}) from None


Asking = Annotated[Principal, Depends(principal)]
