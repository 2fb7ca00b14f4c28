"""As root, whoever writes code for a kernel is in a room of their own: other rooms are locked, and so is theirs."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from dashboards.house import STRANGER, House, Opened, environment_of, wait_for
from security.inside import inside, run
from traitlets.config import Config

from agent_analytics import keys
from agent_analytics.serving import accounts, cluster, hub
from agent_analytics.serving.kernel_start import MEMORY_BYTES, PROCESSES

PROBE = """
import os, socket, stat, sys

def use(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISSOCK(mode):
        socket.socket(socket.AF_UNIX).connect(path)
    elif stat.S_ISDIR(mode):
        os.listdir(path)
    else:
        open(path, "rb").read(1)

def change(path):
    if os.path.isdir(path):
        os.unlink(os.open(path + "/.planted", os.O_CREAT | os.O_WRONLY) and path + "/.planted")
    else:
        open(path, "ab").close()

def spy(path):
    if path.endswith("fd"):
        os.listdir(path)
    elif not (open(path, "rb").readable() if path.endswith("mem") else open(path, "rb").read(1)):
        raise OSError("a process without memory")

def reached(attempt, targets):
    done = []
    for target in targets:
        try:
            attempt(target)
            done.append(target)
        except OSError:
            pass
    return done
"""


@pytest.fixture(scope="module")
def attacker(house: House, opened: Opened) -> Iterator[Any]:
    """Somebody inside acme's kernel; `opened` is theirs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with inside(house, opened) as client:
        yield lambda code: run(client, code)


@pytest.fixture(scope="module")
def other(house: House) -> Iterator[Opened]:
    """The page of somebody in another organization, open at the same time."""
    with house.client(STRANGER) as client:
        opened = house.open(client)
        yield opened
        opened.ask("DELETE")


def process_of(house: House, opened: Opened) -> psutil.Process:
    home = str(house.home / "kernels" / opened.kernel)
    (pid,) = [pid for pid in house.kernel_processes() if environment_of(pid)["HOME"] == home]
    return psutil.Process(pid)


def tried(attempt: str, targets: list[Any]) -> str:
    return f"{PROBE}\nfound = reached({attempt}, {targets!r})"


def under_the_services_account(code: str) -> Any:
    """What the same code finds without an account of its own: that these tests notice."""
    words = [sys.executable, "-I", "-c", f"{code}\nimport json; print(json.dumps(found))"]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def test_each_kernel_has_an_account_that_nothing_else_has(house: House, attacker: Any, other: Opened) -> None:
    found = attacker("import os\nfound = [os.getresuid(), os.getresgid(), os.getgroups()]")
    (account,) = set(found[0])
    assert found == [[account] * 3, [account] * 3, []]
    assert account in accounts.of_kernels(house.settings)
    theirs = process_of(house, other).uids().real
    assert theirs in accounts.of_kernels(house.settings)
    assert theirs != account


def test_it_has_given_up_what_it_could_become(attacker: Any) -> None:
    status = attacker("found = open('/proc/self/status').read()")
    assert re.search(r"NoNewPrivs:\t1", status)
    assert set(re.findall(r"Cap(?:Prm|Eff|Inh|Amb):\t(\w+)", status)) == {"0" * 16}
    become = "import os\nfound = reached(lambda call: call(0), [])\n"
    become += "for call in (os.setuid, os.setgid, lambda one: os.setgroups([one])):\n    found += reached(call, [0])"
    assert attacker(PROBE + become) == []


def test_it_cannot_use_up_the_machine(attacker: Any) -> None:
    limits = attacker(
        "import resource as r\nfound = [r.getrlimit(n) for n in (r.RLIMIT_NPROC, r.RLIMIT_DATA, r.RLIMIT_CORE)]"
    )
    assert limits == [[PROCESSES] * 2, [MEMORY_BYTES] * 2, [0, 0]]
    too_much = f"try:\n    found = len(bytearray({MEMORY_BYTES}))\nexcept MemoryError:\n    found = 'refused'"
    assert attacker(too_much) == "refused"
    assert attacker("import os\nfound = os.umask(0o077)") == 0o077


def test_of_the_installations_files_it_reaches_its_own_alone(
    house: House, opened: Opened, attacker: Any, other: Opened
) -> None:
    hub.configure(Config(), house.settings.__class__(home=house.home, oidc_issuer="https://id.example.com"))
    database = house.home / "hub" / "hub.sqlite"
    database.touch()
    own = house.home / "kernels" / opened.kernel
    paths = [str(path) for path in house.home.rglob("*") if own not in (path, *path.parents)]
    assert {str(house.home / "keys" / "dashboards-cookie-secret"), str(database)} <= set(paths)
    assert any(other.kernel in path and stat.S_ISSOCK(os.lstat(path).st_mode) for path in paths)
    secret = [path for path in paths if "/keys/" in path or path.endswith(("/token", "-ipc-1", "hub.sqlite"))]
    assert under_the_services_account(tried("use", secret)) == secret
    # The one door that every account may knock at, and that opens by a password of one's own.
    people = str(cluster.people_place(house.home) / cluster.SOCKET)
    assert attacker(tried("use", paths)) == [people]
    assert attacker(tried("change", [*paths, str(house.home), str(Path(accounts.__file__).parent)])) == []


def test_it_sees_into_no_other_process_and_signals_none(house: House, attacker: Any, other: Opened) -> None:
    own = attacker("import os\nfound = os.getpid()")
    pids = [process.pid for process in psutil.process_iter() if process.pid != own]
    assert {process_of(house, other).pid, house.running["service"].pid, house.running["api"].pid} <= set(pids)
    windows = [f"/proc/{pid}/{name}" for pid in pids for name in ("environ", "mem", "maps", "fd")]
    service = [window for window in windows if window.startswith(f"/proc/{house.running['service'].pid}/")]
    assert under_the_services_account(tried("spy", service)) == service
    assert attacker(tried("spy", windows)) == []
    assert attacker(tried("lambda pid: os.kill(pid, 0)", pids)) == []


def test_what_anybody_can_see_of_processes_holds_no_secret(house: House, attacker: Any, other: Opened) -> None:
    seen = attacker(
        "from pathlib import Path\nfound = ''\nfor path in Path('/proc').glob('[0-9]*/cmdline'):\n"
        "    try:\n        found += path.read_text()\n    except OSError:\n        pass"
    )
    names = [path.name for path in (house.home / "keys").iterdir()]
    assert [name for name in names if keys.secret(house.home, name) in seen] == []
    assert (house.home / "kernels" / other.kernel / "token").read_text() not in seen


def test_its_token_is_its_own_and_renewed_whatever_it_does(house: House, opened: Opened, attacker: Any) -> None:
    account = process_of(house, opened).uids().real
    token = house.home / "kernels" / opened.kernel / "token"
    before = token.read_text()
    wait_for(lambda: token.read_text() != before)
    assert (token.stat().st_uid, stat.S_IMODE(token.stat().st_mode)) == (account, 0o600)
    victim = house.home / "keys" / "token-key"
    attacker(f"import os\nos.remove('token')\nos.symlink({str(victim)!r}, 'token')\nfound = 0")
    wait_for(lambda: not token.is_symlink())
    assert (victim.stat().st_uid, attacker("found = len(open('token').read()) > 100")) == (0, True)


def test_a_kernel_that_locks_its_token_away_ends_alone(house: House, other: Opened) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with house.client(STRANGER) as client:
        meddler = house.open(client)
        with inside(house, meddler) as kernel:
            kernel.execute("import os; os.remove('token'); os.mkdir('token'); open('token/x', 'w')")
            wait_for(lambda: meddler.ask("GET") == 403)
    assert other.ask("GET") == 200


def test_the_end_of_a_kernel_leaves_no_process_and_no_file(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with house.client(STRANGER) as client:
        leaver = house.open(client)
        account = process_of(house, leaver).uids().real
        left = Path(f"/tmp/left-by-{account}")
        with inside(house, leaver) as kernel:
            run(
                kernel,
                "import subprocess, os\nfound = 0\n"
                "for _ in range(3):\n    subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
                f"os.makedirs('/tmp/left-by-{account}/' + 'deep/' * 300)\n"
                "os.mkdir('locked'); open('locked/file', 'w'); os.chmod('locked', 0)",
            )
        assert len(of_account(account)) == 4
        assert left.exists()
        assert leaver.ask("DELETE") == 204
    wait_for(lambda: of_account(account) == [])
    assert not left.exists()
    assert leaver.kernel not in {home.name for home in house.kernels()}


def of_account(account: int) -> list[psutil.Process]:
    """Its processes; what is dead and not yet buried does not count."""
    return [
        one
        for one in psutil.process_iter(["uids", "status"])
        if one.info["uids"] and one.info["uids"].real == account and one.info["status"] != "zombie"
    ]
