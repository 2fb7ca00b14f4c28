"""The embedded PostgreSQL: private, started by whoever needs it, stopped by the last; it keeps what was committed."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from agent_analytics import keys
from agent_analytics.errors import RecordUnavailable, ServiceError
from agent_analytics.serving import cluster, postgres
from agent_analytics.settings import Settings

USE_IT = """
import sys
from pathlib import Path
from agent_analytics.serving import postgres
from agent_analytics.settings import Settings
with postgres.running(Settings(home=Path(sys.argv[1]))):
    print("using", flush=True)
    sys.stdin.read()
"""


def ask(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def servers(home: Path) -> list[psutil.Process]:
    """The server's processes, the oldest first: each lives in the data directory."""
    data = str(home / "postgres" / "data")
    found = [each for each in psutil.process_iter(["cwd", "create_time"]) if each.info["cwd"] == data]
    return sorted(found, key=lambda each: (each.info["create_time"], each.pid))


def until(true, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def another(home: Path):
    """Another command that uses the server until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE_IT, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "using\n"
    try:
        yield process
    finally:
        process.communicate()


@contextmanager
def served(home: Path):
    """`agent-analytics serve postgres`, as supervisor and systemd start it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_analytics.cli", "serve", "postgres"],
        env={**os.environ, "AGENT_ANALYTICS_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=(home / "postgres.err").open("w"),
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def test_nobody_else_reaches_it(home: Path) -> None:
    with postgres.running(Settings(home=home)) as url:
        assert "PostgreSQL 18" in ask(url, "select version()")[0][0]
        assert ask(url, "show listen_addresses") == [("",)]
        assert (home / "postgres").stat().st_mode == 0o40700
        assert all(each.uids().real != 0 for each in servers(home))
        assert not any(keys.secret(home, "database-admin") in " ".join(each.cmdline()) for each in servers(home))
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(url.replace(keys.secret(home, "database-admin"), "guess"), "select 1")
    assert servers(home) == []


def test_a_day_and_a_letter_mean_the_same_on_every_machine(home: Path) -> None:
    with postgres.running(Settings(home=home)) as url:
        assert ask(url, "show timezone") == [("UTC",)]
        assert ask(url, "show server_encoding") == [("UTF8",)]
        assert ask(url, "select lower('ÄÖ'), 'a' < 'B'") == [("äö", False)]


def test_what_was_committed_survives_kill_9(home: Path) -> None:
    with postgres.running(Settings(home=home)) as url:
        ask(url, "create table kept as select generate_series(1, 50000) as number")
        unfinished = psycopg.connect(url)
        unfinished.execute("insert into kept values (0)")
        for process in servers(home):
            process.kill()
    with postgres.running(Settings(home=home)) as url:
        assert ask(url, "select count(*), sum(number) from kept") == [(50000, 1250025000)]


def test_a_foreign_process_under_its_old_number_is_no_obstacle(home: Path) -> None:
    with postgres.running(Settings(home=home)):
        for process in servers(home):
            process.kill()
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    foreign = subprocess.Popen(["sleep", "600"], **cluster.identity(cluster.account_to_run_as()))
    pid_file.write_text(re.sub(r"^\d+", str(foreign.pid), pid_file.read_text()))
    with postgres.running(Settings(home=home)) as url:
        assert ask(url, "select 1") == [(1,)]
    assert foreign.poll() is None
    foreign.kill()
    foreign.wait()


def test_the_remains_of_a_killed_one_are_waited_out(home: Path) -> None:
    with postgres.running(Settings(home=home)) as url:
        ask(url, "create table kept as select 1 as number")
        postmaster, child = servers(home)[:2]
        child.suspend()
        postmaster.kill()
        later = threading.Timer(1, child.resume)
        later.start()
        with postgres.running(Settings(home=home)) as url:
            assert later.finished.is_set()
            assert ask(url, "select * from kept") == [(1,)]


def test_the_last_user_stops_it(home: Path) -> None:
    with another(home):
        with postgres.running(Settings(home=home)) as url:
            first = servers(home)[0].pid
        assert ask(url, "select 1") == [(1,)]
        assert servers(home)[0].pid == first
    assert servers(home) == []


def test_whoever_started_it_may_leave_first(home: Path) -> None:
    with another(home) as first:
        with postgres.running(Settings(home=home)) as url:
            first.communicate()
            assert ask(url, "select 1") == [(1,)]
        assert servers(home) == []


def test_a_killed_user_leaves_it_to_the_next(home: Path) -> None:
    with another(home) as process:
        process.kill()
        process.wait()
        left = servers(home)[0].pid
        with postgres.running(Settings(home=home)):
            assert servers(home)[0].pid == left
        assert servers(home) == []


def test_two_who_come_at_once_share_one(home: Path) -> None:
    both = [
        subprocess.Popen([sys.executable, "-c", USE_IT, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in both if process.stdout] == ["using\n", "using\n"]
    for process in both:
        process.communicate()
    assert servers(home) == []


def test_a_command_leaves_a_served_one_alone(home: Path) -> None:
    settings = Settings(home=home)
    with served(home) as process:
        postgres.wait(settings, 30)
        with postgres.running(settings):
            assert servers(home)[0].pid == process.pid
        assert ask(postgres.record_url(settings), "select 1") == [(1,)]
    assert servers(home) == []


def test_the_service_lets_a_command_finish_first(home: Path) -> None:
    settings = Settings(home=home)
    with another(home) as command, served(home) as process:
        assert process.stdout
        assert "waiting for it to end" in process.stdout.readline()
        url = postgres.record_url(settings)
        assert ask(url, "select 1") == [(1,)]
        command.communicate()
        assert ask(url, "select 1") == [(1,)]
        os.kill(servers(home)[0].pid, signal.SIGINT)
        until(lambda: process.pid in [each.pid for each in servers(home)])
        postgres.wait(settings, 30)
    assert servers(home) == []


def test_a_waiting_service_stops_what_a_command_left_to_it(home: Path) -> None:
    with another(home) as command, served(home) as process:
        assert process.stdout
        process.stdout.readline()
        command.communicate()
        assert servers(home)
    assert servers(home) == []


def test_a_long_path_is_no_obstacle(home: Path) -> None:
    far = home / ("far-" * 30)
    with postgres.running(Settings(home=far)) as url:
        assert ask(url, "select 1") == [(1,)]
        assert str(far) not in url
    cluster.socket_place(far).rmdir()


def test_a_squatted_socket_directory_is_refused(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres").chmod(0o755)
    with pytest.raises(ServiceError, match="closed to others"), postgres.running(Settings(home=home)):
        pass


def test_data_of_another_version_are_left_alone(home: Path) -> None:
    with postgres.running(Settings(home=home)):
        pass
    (home / "postgres" / "data" / "PG_VERSION").write_text("17\n")
    with (
        pytest.raises(RecordUnavailable, match=r"made by PostgreSQL 17.*pg_dump"),
        postgres.running(Settings(home=home)),
    ):
        pass


def test_lost_keys_are_named(home: Path) -> None:
    with postgres.running(Settings(home=home)):
        pass
    (home / "keys" / "database-admin").unlink()
    with pytest.raises(RecordUnavailable, match="refuses our password"), postgres.running(Settings(home=home)):
        pass
    assert servers(home) == []


def test_why_it_does_not_start_is_said(home: Path) -> None:
    with postgres.running(Settings(home=home)):
        pass
    (home / "postgres" / "data" / "postgresql.conf").write_text("no_such_setting = on\n")
    with (
        pytest.raises(RecordUnavailable, match=r"does not start: .*postgres\.log"),
        postgres.running(Settings(home=home)),
    ):
        pass


def test_a_directory_closed_to_the_servers_account_is_named(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, which runs the server under another account")
    (home / "closed").mkdir(mode=0o700)
    with (
        pytest.raises(RecordUnavailable, match=r"cannot reach .*closed/inside/postgres\. Set AGENT_ANALYTICS_HOME"),
        postgres.running(Settings(home=home / "closed" / "inside")),
    ):
        pass


def test_a_server_of_your_own_is_used_as_it_is(home: Path) -> None:
    settings = Settings(home=home, database_url="postgresql://somebody@db.example.com/analytics")
    with postgres.running(settings) as url:
        assert url == settings.database_url
    assert not (home / "postgres").exists()
    with pytest.raises(ServiceError, match="AGENT_ANALYTICS_DATABASE_URL"):
        postgres.main(settings)
