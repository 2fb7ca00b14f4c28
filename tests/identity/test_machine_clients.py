"""Access tokens at the API: the provider's own, for us, and good by what it says of them now, or very short."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from identity.published import NOW, Published, published

from agent_analytics.errors import Forbidden
from agent_analytics.scope import Principal
from agent_analytics.serving import rhythm
from agent_analytics.serving.machine_clients import MOST_REMEMBERED, MachineClients
from agent_analytics.serving.oidc import ProviderUnreachable
from agent_analytics.serving.tokens import Vouched
from agent_analytics.settings import Settings

START = int(NOW.timestamp())
ADA = Principal("TEAM_LEAD", "acme", "ada", ("Search",))
WHO = {"organization": "acme", "role": "TEAM_LEAD", "teams": ["Search"]}
ACTIVE = {"active": True, "sub": "ada", "aud": "us", "exp": START + 3600, **WHO}
Ask = Callable[..., Vouched]


@pytest.fixture
def shown() -> Iterator[Published]:
    with published() as shown:
        yield shown


@pytest.fixture
def ask(shown: Published, tmp_path: Path) -> Iterator[Ask]:
    """Present a token to one API, some seconds after noon."""
    settings = Settings(
        home=tmp_path, oidc_issuer=shown.issuer, oidc_client_id="api", oidc_client_secret="s", api_audience="us"
    )
    clients = MachineClients(settings)
    with asyncio.Runner() as runner:
        yield lambda token, seconds=0: runner.run(clients.vouched(token, NOW + timedelta(seconds=seconds)))


def introspects(shown: Published, said: Any) -> None:
    shown.documents["/.well-known/openid-configuration"]["introspection_endpoint"] = f"{shown.issuer}/introspect"
    shown.documents["/introspect"] = said


def access(shown: Published, **changed: Any) -> str:
    return shown.token(header={"typ": "at+jwt"}, **({"exp": START + 3600} | changed))


def asked(shown: Published) -> int:
    return shown.asked.count("/introspect")


def test_an_active_token_speaks_for_whom_the_provider_says_now(shown: Published, ask: Ask) -> None:
    introspects(shown, ACTIVE)
    for token in (access(shown, role="ORG_ADMIN", organization="globex"), "an-opaque-one"):
        assert ask(token) == Vouched(ADA, NOW)


@pytest.mark.parametrize(
    "said",
    [
        *({"active": False}, {}, ACTIVE | {"active": "true"}, ACTIVE | {"active": 1}),
        *(ACTIVE | {"aud": "them"}, ACTIVE | {"aud": None}, ACTIVE | {"aud": []}, ACTIVE | {"aud": {"us": 1}}),
        *(ACTIVE | {"sub": None}, ACTIVE | {"iss": "https://id.example.com"}, ACTIVE | {"token_type": "refresh_token"}),
        *(
            ACTIVE | {"typ": "ID"},
            ACTIVE | {"typ": "Refresh"},
            ACTIVE | {"cnf": {"jkt": "x"}},
            ACTIVE | {"token_type": "DPoP"},
        ),
        *(ACTIVE | {"exp": START}, ACTIVE | {"exp": "never"}, ACTIVE | {"exp": True}, ACTIVE | {"exp": 2**60}),
        *(
            ACTIVE | {"role": "SERVICE"},
            ACTIVE | {"organization": "../acme"},
            {"active": True, "sub": "ada", "aud": "us"},
        ),
    ],
    ids=str,
)
def test_what_the_provider_does_not_vouch_for_is_refused(shown: Published, ask: Ask, said: dict[str, Any]) -> None:
    introspects(shown, said)
    for token in ("an-opaque-one", access(shown)):
        with pytest.raises(Forbidden, match=r"^The token is not valid\.$"):
            ask(token)


def test_an_answer_about_somebody_else_is_refused(shown: Published, ask: Ask) -> None:
    introspects(shown, ACTIVE | {"sub": "eve"})
    with pytest.raises(Forbidden):
        ask(access(shown))


def test_what_is_signed_wrong_is_not_even_asked_about(shown: Published, ask: Ask) -> None:
    introspects(shown, ACTIVE)
    for token in (
        access(shown, aud="them"),
        shown.token(header={"typ": "JWT"}),
        shown.token(),
        access(shown, cnf={"jkt": "x"}),
    ):
        with pytest.raises(Forbidden):
            ask(token)
    assert asked(shown) == 0


def test_an_answer_is_remembered_for_ten_seconds_and_no_longer(shown: Published, ask: Ask) -> None:
    introspects(shown, ACTIVE)
    assert [ask("token", seconds).principal for seconds in (0, 1, 9.9)] == [ADA] * 3
    assert asked(shown) == 1
    introspects(shown, {"active": False})
    with pytest.raises(Forbidden):
        ask("token", rhythm.BEARER)
    with pytest.raises(Forbidden):
        ask("token", rhythm.BEARER + 5)
    assert asked(shown) == 2


def test_a_token_ends_with_its_own_time_though_the_answer_is_remembered(shown: Published, ask: Ask) -> None:
    introspects(shown, ACTIVE | {"exp": START + 3})
    assert ask("token", 2).principal == ADA
    with pytest.raises(Forbidden):
        ask("token", 3)


def test_many_at_once_ask_once(shown: Published, tmp_path: Path) -> None:
    introspects(shown, ACTIVE)
    settings = Settings(home=tmp_path, oidc_issuer=shown.issuer, oidc_client_secret="s", api_audience="us")

    async def story() -> list[Vouched]:
        clients = MachineClients(settings)
        return await asyncio.gather(*(clients.vouched("token", NOW) for _ in range(20)))

    assert {each.principal for each in asyncio.run(story())} == {ADA}
    assert asked(shown) == 1


def test_made_up_tokens_do_not_fill_the_memory(shown: Published, tmp_path: Path) -> None:
    introspects(shown, {"active": False})
    clients = MachineClients(Settings(home=tmp_path, oidc_issuer=shown.issuer))
    for number in range(MOST_REMEMBERED + 5):
        clients._remember(str(number), None)  # type: ignore[arg-type]
    assert len(clients._known) == MOST_REMEMBERED
    with pytest.raises(Forbidden):
        asyncio.run(clients.vouched("x" * 20_000, NOW))
    assert shown.asked == []


@pytest.mark.parametrize("said", [(500, ""), (503, "{}"), (200, "[]"), (200, "<html>"), (429, "")], ids=str)
def test_a_provider_without_an_answer_leaves_what_it_said_before_for_the_grace(
    shown: Published, ask: Ask, said: tuple[int, str]
) -> None:
    introspects(shown, ACTIVE)
    assert ask("token") == Vouched(ADA, NOW)
    introspects(shown, said)
    assert ask("token", 15 * 60 - 1) == Vouched(ADA, NOW)
    assert rhythm.is_stale(NOW, NOW + timedelta(minutes=14))
    for late in (("token", 15 * 60), ("another", 0)):
        with pytest.raises(ProviderUnreachable):
            ask(*late)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_provider_that_no_longer_knows_us_leaves_nothing(shown: Published, ask: Ask, status: int) -> None:
    introspects(shown, ACTIVE)
    assert ask("token")
    introspects(shown, (status, '{"error": "invalid_client"}'))
    with pytest.raises(ProviderUnreachable):
        ask("token", rhythm.BEARER)


def test_without_introspection_only_short_tokens_are_taken(shown: Published, ask: Ask) -> None:
    assert ask(access(shown, exp=START + 60, **WHO), 30) == Vouched(ADA, NOW + timedelta(seconds=30))
    with pytest.raises(Forbidden):
        ask(access(shown, exp=START + 60, cnf={"jkt": "x"}, **WHO))
    for token in (access(shown, exp=START + 61, **WHO), "an-opaque-one"):
        with pytest.raises(Forbidden, match="one may live for 60 seconds at most"):
            ask(token)


@pytest.mark.parametrize("seconds", [-1, 60, 80])
def test_a_short_token_has_no_leeway(shown: Published, ask: Ask, seconds: int) -> None:
    with pytest.raises(Forbidden):
        ask(access(shown, exp=START + 60, **WHO), seconds)


def test_a_short_token_may_tell_what_the_provider_leaves_out_and_a_long_one_not(shown: Published, ask: Ask) -> None:
    introspects(shown, {"active": True})
    assert ask(access(shown, exp=START + 60, **WHO)).principal == ADA
    with pytest.raises(Forbidden):
        ask(access(shown, exp=START + 61, **WHO))


def test_an_installation_without_a_provider_takes_no_tokens_of_one(tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        asyncio.run(MachineClients(Settings(home=tmp_path)).vouched("token", NOW))
