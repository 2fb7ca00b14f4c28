"""Asking from a notebook: `connect()`, then `session.answer(Query(...)).frame`."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from agent_analytics import sql
from agent_analytics.answer import Answer, decode, encode
from agent_analytics.errors import AgentAnalyticsError, Forbidden, NotFound, QueryError, ServiceError
from agent_analytics.listing import Listed, Run, typed
from agent_analytics.period import Period
from agent_analytics.query import THIRTY_DAYS, Filters, Query, period_to_json
from agent_analytics.ranking import Rank
from agent_analytics.what_changed import Change, question, what_changed

if TYPE_CHECKING:
    import pandas

API_URL = "AGENT_ANALYTICS_API_URL"
TOKEN_FILE = "AGENT_ANALYTICS_TOKEN_FILE"  # noqa: S105 - the name of a variable
_ERRORS: dict[int, type[AgentAnalyticsError]] = {401: Forbidden, 403: Forbidden, 404: NotFound, 422: QueryError}


class Session:
    """A connection to the API as the person whose token `token()` returns, and in JupyterLab to the record."""

    def __init__(
        self, api_url: str, token: Callable[[], str], timeout: float = 60, sql_url: Callable[[], str] = sql.url
    ) -> None:
        self._token, self._sql_url = token, sql_url
        self._http = httpx2.Client(base_url=api_url, timeout=timeout, trust_env=False)

    def answer(self, query: Query, engine: str | None = None, anonymous: bool = False) -> Answer:
        return self.answers([query], engine, anonymous)[0]

    def answers(self, queries: Sequence[Query], engine: str | None = None, anonymous: bool = False) -> list[Answer]:
        """All answers in one call: of what the person may see or, if `anonymous`, of all their organization.

        Raises QueryError, Forbidden or ServiceError.
        """
        asked = {"queries": [query.to_json() for query in queries], "engine": engine, "anonymous": anonymous}
        return [Answer.from_json(answer) for answer in self._post("/v1/query", asked)["answers"]]

    def what_changed(self, period: Period, where: Mapping[str, Sequence[str | None]] | Filters = ()) -> Change:
        """Why cost and runs of a period differ from those of the period before it."""
        before, after = self.answers([question(period, where, before=True), question(period, where)])
        return what_changed(before, after)

    def sql(self, text: str, parameters: sql.Parameters = None) -> "pandas.DataFrame":
        """The rows of a SELECT of one's own, under one's own database login; in JupyterLab.

        Placeholders are `%s` or `%(name)s`. At most a million rows: integers are `Int64`, money and other numerics
        exact `Decimal`, times `datetime64` in UTC. Raises QueryError, Forbidden, or ServiceError outside JupyterLab.
        """
        return sql.frame(self._sql_url(), text, parameters)

    def rank(self, team: str) -> Rank:
        """The person's place in a team by this month's runs. Raises Forbidden where they are not in it."""
        return Rank(**self._call("GET", "/v1/rank", params={"team": team}))

    def run(self, run_id: str, organization: str | None = None) -> Run:
        """All that is known of a run, by the contract's names, and its `duration` in seconds.

        Who runs the platform names the organization. Raises NotFound, also for a run that is not yours to see.
        """
        named = {} if organization is None else {"organization": organization}
        return typed(self._call("GET", f"/v1/runs/{quote(run_id, safe='')}", params=named)["run"])

    def runs(
        self,
        where: Mapping[str, Sequence[str | None]] | Filters = (),
        period: Period = THIRTY_DAYS,
        sort: str = "started_at",
        limit: int = 50,
        after: str | None = None,
        organization: str | None = None,
    ) -> Listed:
        """Runs, the greatest of `sort` (`started_at`, `cost`, `duration`) first, after the `next` of a list before."""
        asked = Query(["runs"], where=where, period=period).to_json()
        filters = {"where": encode(asked.get("where", {})).decode(), "cursor": after, "organization": organization}
        given = {name: text for name, text in filters.items() if text is not None} | period_to_json(period)
        told = self._call("GET", "/v1/runs", params=given | {"sort": sort, "limit": str(limit)})
        return Listed(tuple(typed(run) for run in told["runs"]), told["next"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, content=encode(body))

    def _call(self, method: str, path: str, **sent: Any) -> Any:
        headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
        try:
            response = self._http.request(method, path, headers=headers, **sent)
        except httpx2.HTTPError as error:
            raise ServiceError(f"The API at {self._http.base_url} does not answer: {error}") from None
        if response.status_code != 200:
            raise _ERRORS.get(response.status_code, ServiceError)(_detail(response))
        return decode(response.content)


def _detail(response: httpx2.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The API answered with status {response.status_code}."


def connect(environ: Mapping[str, str] = os.environ) -> Session:
    """A session as the person this kernel was started for; raises ServiceError outside such a kernel."""
    url, file = environ.get(API_URL), environ.get(TOKEN_FILE)
    if not url or not file:
        raise ServiceError(f"This kernel was not started by Agent Analytics: {API_URL} and {TOKEN_FILE} are not set.")
    return Session(url, lambda: _read_token(Path(file)), sql_url=lambda: sql.url(environ))


def _read_token(path: Path) -> str:
    """Read at each call: the service renews the file while the person's rights last."""
    try:
        return path.read_text().strip()
    except OSError:
        raise Forbidden("Your session has ended. Open the page again.") from None
