"""Which accounts are given, to whom, and where the installation says that it cannot give any."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from agent_analytics.commands import doctor
from agent_analytics.errors import ServiceError, SettingError
from agent_analytics.serving import accounts, kernels
from agent_analytics.serving.accounts import Accounts, identity
from agent_analytics.settings import Settings, read


@pytest.fixture
def ids(home: Path) -> range:
    """A few ids at the end of those for kernels, which no test's service reaches."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return accounts.of_kernels(Settings(home=home))[-4:]


@pytest.fixture
def holder(ids: range) -> Iterator[Callable[[], Accounts]]:
    """Makes services' accounts; at the end all are given back."""
    made: list[Accounts] = []
    yield lambda: made.append(Accounts(ids)) or made[-1]  # type: ignore[func-returns-value]
    for each in made:
        for account in list(each._locks):
            each.release(account)


def sleeper(account: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"], start_new_session=True, **identity(account))


def test_an_account_is_one_holders_over_all_installations(ids: range, holder: Callable[[], Accounts]) -> None:
    here, beside = holder(), holder()
    taken = [here.take(), beside.take(), here.take(), beside.take()]
    assert sorted(taken) == list(ids)
    with pytest.raises(ServiceError, match="Every account"):
        here.take()
    here.release(taken[0])
    assert beside.take() == taken[0]


def test_the_one_used_last_comes_last_again(ids: range, holder: Callable[[], Accounts]) -> None:
    given = holder()
    for _ in range(2):
        for account in ids:
            assert given.take() == account
            given.release(account)


def test_an_account_is_not_given_while_anything_of_it_lives(ids: range, holder: Callable[[], Accounts]) -> None:
    given = holder()
    alive = sleeper(ids[0])
    try:
        assert given.take() == ids[1]
    finally:
        alive.kill()
        alive.wait()


def test_what_a_killed_service_left_ends_with_the_next_start_unless_it_is_anothers(
    ids: range, holder: Callable[[], Accounts]
) -> None:
    beside = holder()
    theirs, nobodys = sleeper(beside.take()), sleeper(ids[1])
    try:
        holder()
        assert nobodys.wait(20) == -9
        assert theirs.poll() is None
    finally:
        beside.release(ids[0])
    assert theirs.wait(20) == -9


def test_ids_that_somebody_has_are_refused(home: Path) -> None:
    for first in (65_000, 64_000):
        with pytest.raises(SettingError, match="AGENT_ANALYTICS_FIRST_ACCOUNT"):
            accounts.check(Settings(home=home, first_account=first))
    for text in ("999", "root", "-1", "2147483647"):
        with pytest.raises(SettingError, match="AGENT_ANALYTICS_FIRST_ACCOUNT"):
            read({"AGENT_ANALYTICS_FIRST_ACCOUNT": text})


def test_where_accounts_cannot_reach_what_they_run_the_service_does_not_start(ids: range, home: Path) -> None:
    locked = home / "locked"
    locked.mkdir(mode=0o700)
    started = "import sys\nfrom agent_analytics.cli import main\nsys.exit(main(['serve', 'dashboards']))"
    environment = {"PATH": os.defpath, "AGENT_ANALYTICS_HOME": str(locked / "home")}
    done = subprocess.run([sys.executable, "-c", started], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot reach" in done.stderr
    assert str(locked / "home") in done.stderr
    assert "AGENT_ANALYTICS_HOME" in done.stderr


def test_an_environment_that_accounts_cannot_read_is_named(
    ids: range, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "locked").mkdir(mode=0o700)
    (home / "locked" / "manifest.json").touch()
    monkeypatch.setattr(accounts.assets, "DIST", home / "locked")
    with pytest.raises(ServiceError, match=r"cannot reach .*locked/manifest.json\. Install Agent Analytics"):
        accounts.check(Settings(home=home))


def test_root_without_the_right_to_change_accounts_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(accounts.subprocess, "run", refused)
    with pytest.raises(ServiceError, match="CAP_SETUID"):
        accounts.check(Settings(home=home))


def test_not_root_the_doctor_and_the_log_warn(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(accounts, "available", lambda: False)
    assert doctor.run(SimpleNamespace(), settings) == 0  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert f"warn  account: {accounts.SHARED}" in said
    kernels.configure(Config(), settings)
    assert accounts.SHARED in caplog.text


def test_as_root_the_doctor_says_which_accounts(
    ids: range, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.run(SimpleNamespace(), settings) == 0  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "ok    account: root; PostgreSQL and each kernel run under accounts of their own" in said
    assert f"(kernels: {settings.first_account} to {settings.first_account + 999})" in said


@pytest.mark.parametrize("deep", [3, 2000])
def test_trees_go_however_deep(ids: range, tmp_path: Path, deep: int) -> None:
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(deep):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    accounts.remove(tmp_path / "d", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []
