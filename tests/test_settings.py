"""Settings come from the environment; keys are made once and kept to their owner."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent_analytics import keys, settings
from agent_analytics.errors import SettingError
from agent_analytics.settings import PROCESSES_BEHIND, Settings


def test_what_is_not_set_has_its_default(tmp_path: Path) -> None:
    assert settings.read({"AGENT_ANALYTICS_HOME": str(tmp_path)}) == Settings(home=tmp_path)
    assert settings.read({"AGENT_ANALYTICS_PORT": "", "HOME": "/h"}).port == 8000


def test_each_process_has_a_port_of_its_own() -> None:
    ports = [Settings(port=9000).port_of(process) for process in PROCESSES_BEHIND]
    assert ports == [9001, 9002, 9003, 9004, 9005, 9006]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PORT", "80"),
        ("PORT", "65001"),
        ("PORT", "8000; rm"),
        ("DATABASE_URL", "mysql://me:hidden@host/x"),
        ("OIDC_ISSUER", "id.example.com"),
        ("OIDC_ISSUER", "https://id.example.com/?a=b"),
        ("CLAIM_ROLE", "my role"),
        ("PUBLIC_URL", "javascript:alert(1)"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_but_no_secret_is_shown(variable: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"^AGENT_ANALYTICS_{variable}: .* is not ") as failure:
        settings.read({f"AGENT_ANALYTICS_{variable}": text})
    assert "hidden" not in str(failure.value)


def test_secrets_do_not_show_themselves(tmp_path: Path) -> None:
    secret = Settings(home=tmp_path, database_url="postgresql://me:hidden@host/x", oidc_client_secret="hidden")
    assert "hidden" not in repr(secret)


def test_a_key_is_made_once_whoever_asks_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: keys.secret(tmp_path, "token"), range(64)))
    assert made == {keys.secret(tmp_path, "token")}
    assert len(made.pop()) == 64


def test_a_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    keys.secret(tmp_path, "token")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "keys").iterdir()] == [0o600]
