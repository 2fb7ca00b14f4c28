"""What a token endpoint may answer, and whether that is a no to the person or no answer at all."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from identity.published import NOW, Published, published

from agent_analytics.serving.code_flow import Attempt, CodeFlow, Grant
from agent_analytics.serving.oidc import IdentityRefused, Provider, ProviderRefusesUs, ProviderUnreachable

ATTEMPT = Attempt("state", "nonce", "verifier")


@pytest.fixture
def shown() -> Iterator[Published]:
    with published() as shown:
        yield shown


def flow(shown: Published) -> CodeFlow:
    return CodeFlow(Provider(shown.issuer), "us", "a secret", "http://127.0.0.1/callback")


def finish(shown: Published, issuer: str | None = None) -> Grant:
    return asyncio.run(flow(shown).finish(ATTEMPT, "a code", issuer, NOW))


def renew(shown: Published, kept: list[str] | None = None) -> Grant:
    async def keep(refresh_token: str) -> None:
        (kept if kept is not None else []).append(refresh_token)

    return asyncio.run(flow(shown).renew("a refresh token", "ada", NOW, keep))


def answers(shown: Published, **claims: Any) -> None:
    shown.documents["/token"] = {
        "access_token": "opaque",
        "token_type": "Bearer",
        "refresh_token": "next",
        "id_token": shown.token(**claims),
    }


def test_a_good_answer_is_a_grant(shown: Published) -> None:
    answers(shown, nonce="nonce")
    grant = finish(shown)
    assert grant.claims == shown.claims(nonce="nonce")
    assert grant.refresh_token == "next"


def test_a_refresh_may_come_without_nonce_and_without_another_refresh_token(shown: Published) -> None:
    answers(shown)
    del shown.documents["/token"]["refresh_token"]
    assert renew(shown).refresh_token == "a refresh token"


def test_the_next_refresh_token_is_kept_though_the_rest_fails(shown: Published) -> None:
    answers(shown)
    shown.documents["/jwks"] = (500, "")
    kept: list[str] = []
    with pytest.raises(ProviderUnreachable):
        renew(shown, kept)
    assert kept == ["next"]


@pytest.mark.parametrize("claims", [{"sub": "eve"}, {"aud": "them"}, {"exp": 1}], ids=str)
def test_a_refresh_about_somebody_else_is_refused(shown: Published, claims: dict[str, Any]) -> None:
    answers(shown, **claims)
    with pytest.raises(IdentityRefused):
        renew(shown)


@pytest.mark.parametrize("missing", ["id_token", "refresh_token"])
def test_an_answer_without_what_we_need_is_refused(shown: Published, missing: str) -> None:
    answers(shown, nonce="nonce")
    del shown.documents["/token"][missing]
    with pytest.raises(IdentityRefused):
        finish(shown)


@pytest.mark.parametrize("error", ["invalid_grant", "access_denied", "login_required"])
def test_a_no_to_the_person_is_a_refusal(shown: Published, error: str) -> None:
    shown.documents["/token"] = (400, f'{{"error": "{error}", "error_description": "secret"}}')
    for ask in (finish, renew):
        with pytest.raises(IdentityRefused, match=error) as refused:
            ask(shown)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "said",
    [
        *((500, '{"error": "invalid_grant"}'), (503, ""), (429, "slow down"), (403, "<html>firewall</html>")),
        *((400, '{"error": "temporarily_unavailable"}'), (401, '{"error": "invalid_client"}'), (200, "[]"), (200, "")),
    ],
    ids=str,
)
def test_anything_else_is_no_answer_about_the_person(shown: Published, said: tuple[int, str]) -> None:
    shown.documents["/token"] = said
    for ask in (finish, renew):
        with pytest.raises(ProviderUnreachable):
            ask(shown)


def test_an_answer_to_us_is_told_from_no_answer(shown: Published) -> None:
    """Our client may have been taken away there: then no grace."""
    for error in ("invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type"):
        shown.documents["/token"] = (400, f'{{"error": "{error}"}}')
        with pytest.raises(ProviderRefusesUs):
            renew(shown)
    for said in ((400, '{"error": "temporarily_unavailable"}'), (503, '{"error": "server_error"}'), (502, "")):
        shown.documents["/token"] = said
        with pytest.raises(ProviderUnreachable) as failure:
            renew(shown)
        assert not isinstance(failure.value, ProviderRefusesUs)


def test_a_redirect_must_name_the_provider_where_it_promised_to(shown: Published) -> None:
    answers(shown, nonce="nonce")
    with pytest.raises(IdentityRefused):
        finish(shown, "https://id.example.com")
    shown.documents["/.well-known/openid-configuration"]["authorization_response_iss_parameter_supported"] = True
    assert finish(shown, shown.issuer)
    with pytest.raises(IdentityRefused):
        finish(shown, None)


def test_every_sign_in_has_secrets_of_its_own(shown: Published) -> None:
    (first_url, first), (second_url, second) = asyncio.run(flow(shown).start()), asyncio.run(flow(shown).start())
    secrets = {first.state, first.nonce, first.verifier, second.state, second.nonce, second.verifier}
    assert len(secrets) == 6
    assert first.verifier not in first_url
    assert "code_challenge_method=S256" in second_url
