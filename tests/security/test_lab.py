"""JupyterLab for leads and admins: an account and a host name for each, so that a hostile lead reaches nobody else."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from dashboards.house import API
from identity.installation import Installation, running
from playwright.sync_api import Browser, Page
from security.hostile import ASKED, ATTACK, INSIDE, OPEN_SOCKET, RUN, SETTINGS_FILE

import left_behind
from agent_analytics.client import Session
from agent_analytics.demo.people import PERSONAS
from agent_analytics.errors import Forbidden
from agent_analytics.query import Query
from agent_analytics.serving import accounts, lab, lab_homes, postgres, rhythm
from agent_analytics.serving.hub import hub_name
from agent_analytics.settings import Settings
from agent_analytics.store import Record
from chromium import chromium
from given import a_run, ingest

PEOPLE = {persona.key: persona for persona in PERSONAS}
WAIT = 120
OWN_SETTINGS = {"AGENT_ANALYTICS_API_URL", "AGENT_ANALYTICS_TOKEN_FILE", "AGENT_ANALYTICS_SQL_FILE"}
OWN = {("acme", "Platform", "ada"), ("acme", "Payments", "bo"), ("acme", "Search", "lena.brandt")}
OTHERS = {("acme", "Search", "canary-of-search"), ("globex", "Platform", "canary-of-globex")}
RUNS = sorted(OWN | OTHERS)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """With a record, and the API over it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(prefix="aa-lab-", dir="/tmp") as directory:
        home = Path(directory)
        home.chmod(0o711)
        installation = Installation(home)
        with postgres.running(Settings(home=home)) as url, ExitStack() as stack:
            postgres.migrate(Settings(home=home))
            with Record(url, home) as record:
                ingest(record, map(a_run_of, RUNS))
            api = (sys.executable, "-c", API, home, installation.settings.port)
            stack.enter_context(running(*api, log=home / "api.log", env={**os.environ, "DATABASE": url}))
            stack.enter_context(installation.running())
            yield installation
            assert left_behind.told(home) == []
        for each in (home / "people").iterdir():
            accounts.end_all(lab_homes.account_of(each))


def a_run_of(owner: tuple[str, str, str]) -> dict[str, Any]:
    organization, team, user = owner
    started = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    return a_run(f"{team}-{user}", organization=organization, team=team, user=user, started_at=started)


@pytest.fixture(scope="module")
def browser(installation: Installation) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@contextmanager
def signed_in(browser: Browser, installation: Installation, key: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{installation.settings.origin}/services/dashboards/")
    page.click(f'[data-persona="{key}"]')
    page.wait_for_url("**/services/dashboards/")
    yield page
    context.close()


def name_of(installation: Installation, key: str) -> str:
    person = PEOPLE[key]
    return hub_name(installation.provider.issuer, person.organization, person.sub)


def run(page: Page, code: str) -> Any:
    """What a cell of a new kernel in the person's server prints, as JSON."""
    base = urlsplit(page.url).path.removesuffix("/lab") + "/"
    said = page.evaluate(RUN, [base, code])
    try:
        return json.loads(said)
    except ValueError:
        raise AssertionError(said) from None


def eventually(holds: Callable[[], Any], seconds: float = WAIT) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def processes_of(account: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["uids"]) if account in (process.info["uids"] or ())]


@pytest.fixture(scope="module")
def lead(installation: Installation, browser: Browser) -> Iterator[Page]:
    """The page of a lead who is signed in, in JupyterLab, and hostile."""
    home = home_of(installation, "acme-lead")
    (home / ".jupyter").mkdir()
    (home / ".jupyter" / "jupyter_server_config.py").write_text(SETTINGS_FILE)
    for path in (home / ".jupyter", *(home / ".jupyter").iterdir()):
        os.chown(path, home.stat().st_uid, home.stat().st_gid)
    with signed_in(browser, installation, "acme-lead") as page:
        page.goto(f"{installation.settings.origin}/hub/user-redirect/lab")
        page.wait_for_url("**/user/**/lab*", timeout=1000 * WAIT)
        yield page


def home_of(installation: Installation, key: str) -> Path:
    return lab_homes.home_of(installation.settings, name_of(installation, key))


def test_a_server_runs_as_its_person_and_reads_of_nobody_else(installation: Installation, lead: Page) -> None:
    home = installation.settings.home
    mine, other = home_of(installation, "acme-lead"), home_of(installation, "globex-admin")
    (other / "notes").write_text("canary of another person")
    keys = sorted(str(path) for path in (home / "keys").iterdir())
    paths = [*(str(home / part) for part in ("", "hub", "keys", "run", "logs", "provider")), str(other), "/root"]
    files = [*keys, str(home / "hub" / "hub.sqlite"), str(other / "notes"), "/etc/shadow"]
    place = {"paths": paths, "files": files, "secrets": [Path(path).read_text() for path in keys]}
    place |= {"home": str(home), "other": other.stat().st_uid, "hub": installation.hub.pid}
    found = run(lead, INSIDE.format(**place))
    assert urlsplit(lead.url).hostname == f"{mine.name}.localhost"
    assert mine.stat().st_uid != other.stat().st_uid
    assert (found["account"], found["user"], found["groups"]) == (mine.stat().st_uid, str(mine.stat().st_uid), [])
    assert found["privileges"] == "1"
    assert {*found["paths"].values(), *found["files"].values()} == {"PermissionError"}
    assert found["listing"] == found["signal"] == found["memory"] == "PermissionError"
    assert found["become"] == ["PermissionError"] * 2
    assert found["secrets"] == []
    assert {name for name in found["settings"] if name.startswith("AGENT_ANALYTICS_")} == OWN_SETTINGS


def test_a_lead_asks_and_writes_sql_within_their_rights(lead: Page) -> None:
    found = run(lead, ASKED)
    assert found["sql"] == found["magic"] == sorted([team, user] for _, team, user in OWN)
    assert found["answer"] == sorted([team, 1] for _, team, _ in OWN)
    assert found["cost"] == found["sum"] == "0.013500000"
    assert "canary" not in json.dumps(found)


def test_a_hostile_leads_server_reaches_nothing_of_an_admin_who_looks_at_it(
    installation: Installation, browser: Browser, lead: Page
) -> None:
    origin, evil = installation.settings.origin, lead.url.replace("/lab", "/evil")
    with signed_in(browser, installation, "acme-admin") as page:
        same_origin = attacked(page, installation)
        assert all("Ada Lindqvist" in same_origin[what] for what in ("framed", "opened"))
        before = cookies(page, origin)
        page.goto(evil)
        assert page.title() == "evil"
        found = attacked(page, installation)
        assert "Ada" not in json.dumps(found)
        assert {found[what] for what in found if what != "token"} == {"blocked"}
        page.goto(f"{origin}/services/dashboards/")
        assert "Ada Lindqvist" in page.content()
        assert cookies(page, origin) == before
    sent = (home_of(installation, "acme-lead") / "cookies").read_text()
    assert not [value for _, _, value in before if value in sent]
    assert not processes_of(home_of(installation, "acme-admin").stat().st_uid)


def attacked(page: Page, installation: Installation) -> dict[str, str]:
    return page.evaluate(ATTACK, [installation.settings.origin, name_of(installation, "acme-admin")])


def cookies(page: Page, origin: str) -> set[tuple[str, str, str]]:
    """Those by which our own pages know somebody."""
    known = (cookie for cookie in page.context.cookies(origin) if cookie["name"] != "_xsrf")
    return {(cookie["name"], cookie["path"], cookie["value"]) for cookie in known}


@pytest.mark.parametrize("key", ["acme-engineer", "globex-engineer", "platform-admin"])
def test_who_leads_nobody_gets_no_server(installation: Installation, browser: Browser, key: str) -> None:
    with signed_in(browser, installation, key) as page:
        answer = page.goto(f"{installation.settings.origin}/hub/user-redirect/lab")
        assert answer
        assert answer.status in (403, 404)
        assert "/user/" not in page.url.split("?")[0]
    assert not (installation.settings.home / "people" / name_of(installation, key)).exists()


def test_a_lead_who_leads_no_more_has_no_server_any_more(installation: Installation, lead: Page) -> None:
    account = home_of(installation, "acme-lead").stat().st_uid
    assert processes_of(account)
    lead.evaluate(OPEN_SOCKET)
    settings, name = installation.settings, name_of(installation, "acme-lead")
    token, login = (lab_homes.pass_of(settings, name, kind).read_text() for kind in ("token", "login"))
    api = Session(f"http://127.0.0.1:{settings.port_of('api')}/services/api", lambda: token)
    assert api.answer(Query(["runs"])).rows
    open_sql = psycopg.connect(login)
    installation.people["acme-lead"] = replace(PEOPLE["acme-lead"], role="MEMBER")
    eventually(lambda: not processes_of(account), 60)
    eventually(lambda: lead.evaluate("window.socket.readyState") == 3, 30)
    with pytest.raises(psycopg.OperationalError):
        open_sql.execute("select 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(login)
    eventually(lambda: refused(api), rhythm.TOKEN + rhythm.SWEEP_EVERY)
    assert not lab_homes.pass_of(settings, name, "token").parent.exists()
    answer = lead.goto(f"{installation.settings.origin}/hub/user-redirect/lab")
    assert answer
    assert answer.status == 403


def refused(api: Session) -> bool:
    try:
        api.answer(Query(["runs"]))
    except Forbidden:
        return True
    return False


def test_where_accounts_or_host_names_cannot_be_had_there_is_none_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert lab.refusal(Settings(home=tmp_path)) is None
    by_address = Settings(home=tmp_path, public_url="http://192.0.2.7:8000", jupyterlab=True)
    assert "host name of its own" in (lab.refusal(by_address) or "")
    assert "AGENT_ANALYTICS_JUPYTERLAB=on" in (lab.refusal(Settings(home=tmp_path, public_url="https://a.b")) or "")
    assert "switched on" in (lab.refusal(Settings(home=tmp_path, jupyterlab=False)) or "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "account of its own" in (lab.refusal(Settings(home=tmp_path)) or "")
