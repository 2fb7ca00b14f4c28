"""SQL in a person's notebook: `session.sql` and `%sql`, with exact types, plain errors, and no secret in any output."""

import json
from decimal import Decimal
from pathlib import Path

import nbformat
import pandas
import psycopg
import pytest
from nbclient import NotebookClient

from agent_analytics import sql, store
from agent_analytics.client import API_URL, TOKEN_FILE, Session, connect
from agent_analytics.errors import Forbidden, QueryError, ServiceError
from agent_analytics.serving import logins
from agent_analytics.settings import Settings
from people import LEAD, canaries, login_of

TYPES = """
select 1::smallint as small, 9007199254740993::bigint as big, 0.1::numeric(20,9) as money, 1.5::float8 as real,
  'zoë' as text, true as flag, date '2026-03-29' as day, timestamptz '2026-03-29 01:30+02' as instant,
  '{"a": 1}'::jsonb as json, array['x', null] as list, interval '90 seconds' as span
union all select null, null, null, null, null, null, null, null, null, null, null
"""


@pytest.fixture
def login(settings: Settings, record: store.Record) -> logins.Login:
    canaries(settings, record)
    return login_of(settings, LEAD)


@pytest.fixture
def environment(login: logins.Login, settings: Settings, tmp_path: Path) -> dict[str, str]:
    """What a person's JupyterLab is started with."""
    for name, text in (("token", "a token"), ("sql", login.url(settings))):
        (tmp_path / name).write_text(text)
    return {
        API_URL: "http://127.0.0.1:1/services/api",
        TOKEN_FILE: str(tmp_path / "token"),
        sql.SQL_FILE: str(tmp_path / "sql"),
    }


@pytest.fixture
def session(environment: dict[str, str]) -> Session:
    return connect(environment)


def test_every_type_stays_exact(session: Session) -> None:
    frame = session.sql(TYPES)
    assert [str(kind) for kind in frame.dtypes] == [
        *("Int64", "Int64", "object", "float64", "str", "boolean", "datetime64[s]", "datetime64[us, UTC]"),
        *("object", "object", "timedelta64[us]"),
    ]
    first, nothing = frame.iloc[0], frame.iloc[1]
    assert (first["big"], first["money"], first["json"]) == (9007199254740993, Decimal("0.1"), {"a": 1})
    assert first["instant"] == pandas.Timestamp("2026-03-28T23:30Z")
    assert all(pandas.isna(value) for value in nothing)


def test_no_rows_and_equal_names_are_no_obstacle(session: Session) -> None:
    assert session.sql("select 1 as a where false").dtypes.astype(str).to_dict() == {"a": "Int64"}
    assert list(session.sql("select 1 as a, 'x' as a").columns) == ["a", "a"]


def test_values_are_passed_beside_the_text(session: Session) -> None:
    asked = "select count(*) as runs from analytics.runs where team = %(team)s and \"user\" like 'b%%'"
    assert session.sql(asked, {"team": "Search"}).loc[0, "runs"] == 16
    assert session.sql("select %s::text as hostile", ["'; drop table runs --"]).loc[0, "hostile"].startswith("';")
    assert session.sql("select count(*) as runs from analytics.runs where \"user\" like 'b%'").loc[0, "runs"] == 16


def test_it_only_reads(session: Session) -> None:
    with pytest.raises(QueryError, match="in a read-only transaction"):
        session.sql("create table t (i int)")


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("select * from analytics.logins", Forbidden, "Your login may not do this: permission denied for table logins"),
        ("select * from nowhere", QueryError, 'relation "nowhere" does not exist'),
        ("selec 1", QueryError, 'syntax error at or near "selec"'),
        ("select 1; select 2", QueryError, "cannot insert multiple commands"),
        ("set work_mem = '64MB'", QueryError, "gave no rows"),
        ("select * from generate_series(1, 1000001)", QueryError, "More than 1,000,000 rows"),
        ("select 'infinity'::date", QueryError, "date too large"),
    ],
)
def test_errors_are_one_line(text: str, error: type[Exception], said: str, session: Session) -> None:
    with pytest.raises(error, match=said) as raised:
        session.sql(text)
    assert "\n" not in str(raised.value)


def test_outside_jupyterlab_it_says_where_sql_is(environment: dict[str, str]) -> None:
    del environment[sql.SQL_FILE]
    with pytest.raises(ServiceError, match="in their own JupyterLab; AGENT_ANALYTICS_SQL_FILE is not set"):
        connect(environment).sql("select 1")


def test_an_ended_login_says_to_open_again(session: Session, login: logins.Login, settings: Settings) -> None:
    logins.end(settings.database_url or "", login.name)
    with pytest.raises(Forbidden, match="Open JupyterLab again") as raised:
        session.sql("select 1")
    assert login.password not in str(raised.value)


def test_a_lost_file_says_to_open_again(session: Session, environment: dict[str, str]) -> None:
    Path(environment[sql.SQL_FILE]).unlink()
    with pytest.raises(Forbidden, match="Open JupyterLab again"):
        session.sql("select 1")


def test_too_many_connections_are_named(session: Session, login: logins.Login, settings: Settings) -> None:
    held = [psycopg.connect(login.url(settings)) for _ in range(logins.MOST_CONNECTIONS)]
    with pytest.raises(ServiceError, match="All connections of your login are in use"):
        session.sql("select 1")
    for connection in held:
        connection.close()


CELLS = (
    "%load_ext agent_analytics",
    "%sql select count(*) as runs, sum(cost) as cost, count(distinct organization) from analytics.runs",
    "%%sql\nselect team, sum(cost) as cost from analytics.runs where team = 'Search' group by 1",
    "%sql --connections",
    "%sql",
    "%config SqlMagic",
    "%sqlcmd tables --schema analytics",
    "%sql select * from analytics.logins",
    "%sql select * from nowhere",
    "%reload_ext agent_analytics",
    "found = %sql select distinct organization from analytics.runs\nfound.DataFrame()['organization'].tolist()",
    "import agent_analytics as aa; aa.connect().sql('select sum(cost) as cost from analytics.runs').loc[0, 'cost']",
    "from sql.connection import ConnectionManager; print(ConnectionManager.current, ConnectionManager.current.url)",
    "%sql create table t (i int)",
)


def test_a_notebook_shows_rows_and_never_the_login(
    environment: dict[str, str], login: logins.Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environment, "IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute()
    told = nbformat.writes(notebook)
    assert login.password not in told
    assert login.name not in told
    outputs = [json.dumps(cell["outputs"]) for cell in notebook.cells]
    assert "36.25" in outputs[1]
    assert "24.0" in outputs[2]
    assert "permission denied for table logins" in outputs[7]
    assert "['acme']" in outputs[10]
    assert "Decimal('36.250000000')" in outputs[11]
    assert "read-only transaction" in outputs[13]
