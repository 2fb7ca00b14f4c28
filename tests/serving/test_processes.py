"""What `demo` and `up` do with their processes, shown on small ones: watched, restarted, and ended to the last."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from configparser import RawConfigParser
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from agent_analytics.errors import ServiceError
from agent_analytics.serving import processes, ready
from agent_analytics.serving.home import prepare
from agent_analytics.serving.processes import Program, Supervisor
from agent_analytics.settings import Settings

STAY = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
STUBBORN = (
    "import subprocess, sys; "
    f"child = subprocess.Popen([sys.executable, '-c', {DEAF!r}], stdout=subprocess.PIPE, start_new_session=True); "
    "child.stdout.readline(); child.wait()"
)
RUN = """
import json, sys
from pathlib import Path
from agent_analytics.serving.processes import Program, Supervisor, interruptible
home, scripts = Path(sys.argv[1]), json.loads(sys.argv[2])
programs = [Program(name, (sys.executable, "-c", script)) for name, script in scripts.items()]
with interruptible(), Supervisor(home, programs, {}) as supervisor:
    print("started", flush=True)
    supervisor.watch()
"""


def program(name: str, script: str, **more) -> Program:
    return Program(name, (sys.executable, "-c", script), **more)


@contextmanager
def up(home: Path, **scripts: str):
    """A command that runs these scripts as its processes, as a process of its own."""
    prepare(home)
    command = [sys.executable, "-c", RUN, str(home), json.dumps(scripts)]
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        process.wait()


def find(parent: psutil.Process, words: str) -> list[psutil.Process]:
    """The processes below `parent` with these words on their command line."""
    below = set(parent.children(recursive=True))
    found = [each for each in psutil.process_iter(["cmdline"]) if words in " ".join(each.info["cmdline"] or [])]
    return [each for each in found if each in below]


def until(true, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_killed_process_comes_back_alone(home: Path) -> None:
    with up(home, first=f"1; {STAY}", second=f"2; {STAY}") as command:
        first, second = until(lambda: find(command, "1; import")), until(lambda: find(command, "2; import"))
        first[0].kill()
        until(lambda: (found := find(command, "1; import")) and found != first)
        assert find(command, "2; import") == second


def test_a_killed_supervisor_takes_everything_along_and_all_of_it_comes_back(home: Path) -> None:
    with up(home, only=STAY) as command:
        old = until(lambda: find(command, "import time"))
        time.sleep(processes.SECONDS_OF_LIFE)
        find(command, "supervisord")[0].kill()
        until(lambda: (found := find(command, "import time")) and found != old)
        assert not old[0].is_running()


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_process_is_left_behind(home: Path, request_to_end: int) -> None:
    with up(home, first=STAY, second=STUBBORN) as command:
        until(lambda: len(find(command, "time.sleep")) == 3)
        everything = command.children(recursive=True)
        command.send_signal(request_to_end)
        assert command.wait(90) == 0
        assert not any(each.is_running() for each in everything)


def test_when_the_command_itself_is_killed_the_processes_end(home: Path) -> None:
    with up(home, only=STAY) as command:
        until(lambda: find(command, "import time"))
        everything = command.children(recursive=True)
        command.kill()
        until(lambda: not any(each.is_running() for each in everything))


def test_what_does_not_start_is_named_with_what_it_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SECONDS_OF_FAILURE", 1)
    prepare(home)
    failing = program("failing", "raise SystemExit('no bread today')")
    with (
        Supervisor(home, [program("well", STAY), failing], {}) as supervisor,
        pytest.raises(ServiceError, match=r"failing did not start(.|\n)*no bread today"),
    ):
        until(supervisor.check)


def test_some_wait_to_be_asked(home: Path) -> None:
    prepare(home)
    programs = [program("early", f"1; {STAY}"), program("late", f"2; {STAY}", autostart=False)]
    with Supervisor(home, programs, {}) as supervisor:
        until(lambda: find(psutil.Process(), "1; import"))
        assert not find(psutil.Process(), "2; import")
        supervisor.start("late")
        until(lambda: find(psutil.Process(), "2; import"))


def test_processes_get_our_settings_and_no_more(home: Path) -> None:
    settings = Settings(home=home, oidc_issuer="https://id.example.com")
    ours = {"PATH": "/bin", "AGENT_ANALYTICS_PORT": "9000", "JUPYTERHUB_API_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s"}
    assert processes.environment(ours, settings) == {
        "PATH": "/bin",
        "AGENT_ANALYTICS_HOME": str(home),
        "AGENT_ANALYTICS_OIDC_ISSUER": "https://id.example.com",
        "AGENT_ANALYTICS_PORT": "9000",
        "PYTHONUNBUFFERED": "1",
    }


def test_only_we_control_the_supervisor_also_below_a_long_path(home: Path) -> None:
    far = home / ("far-" * 30) / "ours, really"
    prepare(far)
    with Supervisor(far, [program("only", STAY)], {}):
        configuration = RawConfigParser()
        configuration.read(far / "run" / "supervisor.conf")
        place = Path(configuration["unix_http_server"]["file"])
        until(lambda: find(psutil.Process(), STAY))  # only now does it end in order and remove its socket
        assert place.stat().st_mode & 0o777 == 0o600
        assert place.parent.stat().st_mode & 0o777 == 0o700
    place.parent.rmdir()


def test_a_home_that_the_supervisor_cannot_write_down_is_refused() -> None:
    for name in ("a;b", "a%b", "a\nb"):
        with pytest.raises(ServiceError, match="cannot work below"):
            processes.configuration(Path("/srv") / name, [])


def test_demo_and_up_run_the_same_but_for_the_invented(home: Path) -> None:
    settings = Settings(home=home)
    names = [found.name for found in processes.programs(settings, demo=False)]
    assert names == ["postgres", "hub", "dashboards", "api", "proxy"]
    assert {found.name for found in processes.programs(settings, demo=True)} - set(names) == {"provider", "trickle"}
    elsewhere = Settings(home=home, database_url="postgresql://db/analytics")
    assert "postgres" not in [found.name for found in processes.programs(elsewhere, demo=True)]


def call(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "AGENT_ANALYTICS_HOME": str(home), **more}
    command = [sys.executable, "-m", "agent_analytics.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = call(home, "demo", AGENT_ANALYTICS_PORT=str(port - 3))
    assert done.returncode == 1
    assert done.stderr == (
        f"agent-analytics: Port {port} is in use, and api needs it. "
        "Set AGENT_ANALYTICS_PORT to a number that is free together with the six after it.\n"
    )


def test_two_do_not_run_in_one_home(home: Path) -> None:
    from agent_analytics.serving.home import lock

    with lock(home, "up") as alone:
        assert alone.try_alone()
        done = call(home, "demo")
    assert done.returncode == 1
    assert done.stderr.startswith(f"agent-analytics: Agent Analytics is running already in {home}. Stop it there")


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call(tmp_path / "file" / "home", "demo")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "AGENT_ANALYTICS_HOME" in done.stderr


def test_up_asks_for_an_identity_provider(home: Path) -> None:
    done = call(home, "up")
    assert done.returncode == 2
    assert "AGENT_ANALYTICS_OIDC_ISSUER is not set" in done.stderr


def test_a_route_is_ready_when_it_answers_as_it_should(home: Path) -> None:
    route = ready.Route("api", 1, "/")
    with pytest.raises(ServiceError, match="asked"):
        ready.wait(Settings(home=home), [route], asked, 10)
    assert ready.wait(Settings(home=home), [route], lambda: None, 0) == route


def asked() -> None:
    raise ServiceError("asked")
