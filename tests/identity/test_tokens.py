"""A token is good if the provider signed it for us, just now, with a key that it publishes; no other is."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.published import EC, NOW, RSA, Published, published
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from agent_analytics.serving.oidc import IdentityRefused, Provider, ProviderUnreachable

START = int(NOW.timestamp())
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})


@pytest.fixture
def shown() -> Iterator[Published]:
    with published() as shown:
        yield shown


def run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    return asyncio.run(work)


def read(shown: Published, token: object) -> dict[str, Any]:
    return run(Provider(shown.issuer).identity(token, "us", NOW))


def encoded(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
def test_a_token_of_a_published_key_is_good(shown: Published, key: Any) -> None:
    assert read(shown, shown.token(key)) == shown.claims()


@pytest.mark.parametrize(
    "changed",
    [
        *({"iss": "https://id.example.com"}, {"iss": None}, {"aud": "them"}, {"aud": None}, {"aud": 1}, {"aud": []}),
        *({"aud": ["us", "them"]}, {"aud": ["us", "them"], "azp": "them"}, {"azp": "them"}, {"azp": 1}),
        *({"sub": None}, {"sub": 7}, {"sub": ""}),
        *({"exp": None}, {"exp": START - 31}, {"exp": "never"}, {"exp": True}, {"exp": float("nan")}),
        *({"iat": None}, {"iat": START + 31}, {"iat": "now"}, {"nbf": START + 31}, {"nbf": "x"}),
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(shown: Published, changed: dict[str, Any]) -> None:
    with pytest.raises(IdentityRefused):
        read(shown, shown.token(**changed))


@pytest.mark.parametrize(
    "changed",
    [{"aud": ["us"]}, {"aud": ["us", "them"], "azp": "us"}, {"azp": "us"}, {"exp": START - 29}, {"iat": START + 29}],
    ids=str,
)
def test_a_token_within_the_rules_is_good(shown: Published, changed: dict[str, Any]) -> None:
    assert read(shown, shown.token(**changed)) == shown.claims(**changed)


@pytest.mark.parametrize(
    "header",
    [
        *({"kid": None}, {"kid": ["rsa"]}, {"kid": "../../../dev/null"}, {"kid": "unknown"}, {"kid": ""}),
        *({"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"typ": "at+jwt"}, {"typ": "logout+jwt"}),
        *({"alg": "none"}, {"alg": "HS256"}, {"alg": "RS384"}, {"alg": "PS256"}, {"alg": None}, {"alg": ["RS256"]}),
    ],
    ids=str,
)
def test_a_token_with_a_wrong_header_is_refused(shown: Published, header: dict[str, Any]) -> None:
    _, payload, signature = shown.token().split(".")
    with pytest.raises(IdentityRefused):
        read(shown, f"{encoded({'alg': 'RS256', 'kid': 'rsa', **header})}.{payload}.{signature}")


def test_a_token_without_signature_is_refused(shown: Published) -> None:
    for algorithm in ("none", "None", "NONE", "RS256"):
        with pytest.raises(IdentityRefused):
            read(shown, f"{encoded({'alg': algorithm, 'kid': 'rsa'})}.{encoded(shown.claims())}.")


def test_a_token_signed_with_our_knowledge_of_the_public_key_is_refused(shown: Published) -> None:
    published_key = json.dumps(shown.documents["/jwks"]["keys"][0])
    for known in (RSA.as_pem(private=False), published_key.encode(), b""):
        signed = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(shown.claims())}"
        signature = base64.urlsafe_b64encode(hmac.digest(known, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
        with pytest.raises(IdentityRefused):
            read(shown, f"{signed}.{signature}")


@pytest.mark.parametrize("brought", ["jwk", "jku", "x5u"])
def test_a_key_that_the_token_brings_is_not_looked_at(shown: Published, brought: str) -> None:
    shown.documents["/stranger"] = {"keys": [STRANGER.as_dict(private=False)]}
    value = STRANGER.as_dict(private=False) if brought == "jwk" else f"{shown.issuer}/stranger"
    with pytest.raises(IdentityRefused):
        read(shown, shown.token(STRANGER, {brought: value}))
    assert "/stranger" not in shown.asked


def test_a_changed_token_is_refused(shown: Published) -> None:
    header, _, signature = shown.token().split(".")
    with pytest.raises(IdentityRefused):
        read(shown, f"{header}.{encoded(shown.claims(sub='eve'))}.{signature}")


@pytest.mark.filterwarnings("ignore:Key size")
@pytest.mark.parametrize(
    ("bits", "said"), [(1024, {}), (2048, {"use": "enc"}), (2048, {"alg": "RS512"}), (2048, {"kid": 7})], ids=str
)
def test_a_published_key_that_is_not_for_this_is_not_used(shown: Published, bits: int, said: dict[str, Any]) -> None:
    key = RSAKey.generate_key(bits, {"kid": "k"})
    shown.documents["/jwks"] = {"keys": [key.as_dict(private=False) | said]}
    with pytest.raises(IdentityRefused):
        read(shown, shown.token(key))


def test_a_strange_key_among_the_published_ones_does_no_harm(shown: Published) -> None:
    secret = OctKey.import_key("s" * 32, {"kid": "rsa"})
    shown.publish(secret, ECKey.generate_key("P-521", {"kid": "rsa"}), RSA)
    shown.documents["/jwks"]["keys"][:0] = [{}, {"kty": "RSA", "kid": "rsa"}, {"kty": "AKP", "kid": "rsa"}, 7, None]
    assert read(shown, shown.token()) == shown.claims()
    with pytest.raises(IdentityRefused):
        read(shown, jwt.encode({"alg": "HS256", "kid": "rsa"}, shown.claims(), secret))


def test_what_is_no_token_is_refused(shown: Published) -> None:
    @given(st.one_of(st.text(), st.binary(), st.none(), st.integers(), st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*")))
    def refused(token: object) -> None:
        with pytest.raises(IdentityRefused):
            read(shown, token)

    refused()


def test_a_new_key_is_found_and_a_flood_of_unknown_ones_asks_once_in_ten_seconds(shown: Published) -> None:
    new = RSAKey.generate_key(2048, {"kid": "new"})

    async def story() -> None:
        provider = Provider(shown.issuer)
        await provider.identity(shown.token(), "us", NOW)
        shown.publish(RSA, new)
        for second in (1, 5, 9):
            with pytest.raises(ProviderUnreachable, match="unknown"):
                await provider.identity(shown.token(new), "us", NOW + timedelta(seconds=second))
        assert shown.asked.count("/jwks") == 1
        unknown = [provider.identity(shown.token(new), "us", NOW + timedelta(seconds=11)) for _ in range(20)]
        assert await asyncio.gather(*unknown) == [shown.claims()] * 20
        assert shown.asked.count("/jwks") == 2

    asyncio.run(story())


def test_a_key_taken_back_is_good_for_ten_minutes_at_most(shown: Published) -> None:
    async def story() -> None:
        provider = Provider(shown.issuer)
        await provider.identity(shown.token(), "us", NOW)
        shown.publish(EC)
        later = NOW + timedelta(minutes=10)
        with pytest.raises(IdentityRefused):
            await provider.identity(shown.token(exp=START + 3600), "us", later)

    asyncio.run(story())


def test_an_access_token_and_an_id_token_do_not_stand_for_each_other(shown: Published) -> None:
    provider = Provider(shown.issuer)
    for typ in ("at+jwt", "application/at+jwt", "AT+JWT"):
        assert run(Provider(shown.issuer).access(shown.token(header={"typ": typ}), "us", NOW)) == shown.claims()
    for typ in ("JWT", "id+jwt"):
        with pytest.raises(IdentityRefused):
            run(provider.access(shown.token(header={"typ": typ}), "us", NOW))
    with pytest.raises(IdentityRefused):
        run(provider.access(shown.token(header={"typ": "at+jwt"}), "another", NOW))


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks"])
@pytest.mark.parametrize("said", [(500, ""), (404, "{}"), (200, "<html>"), (200, "[]"), (302, "")], ids=str)
def test_a_provider_without_an_answer_is_no_refusal(shown: Published, path: str, said: tuple[int, str]) -> None:
    shown.documents[path] = said
    with pytest.raises(ProviderUnreachable, match="127"):
        read(shown, shown.token())


def test_a_provider_that_does_not_listen_is_no_refusal(shown: Published) -> None:
    with pytest.raises(ProviderUnreachable):
        run(Provider("http://127.0.0.1:1").identity(shown.token(), "us", NOW))


@pytest.mark.parametrize(
    "changed",
    [{"issuer": "https://id.example.com"}, {"issuer": None}, {"jwks_uri": None}, {"token_endpoint": "file:///etc"}],
    ids=str,
)
def test_a_discovery_document_that_cannot_be_meant_is_not_used(shown: Published, changed: dict[str, Any]) -> None:
    shown.documents["/.well-known/openid-configuration"].update(changed)
    with pytest.raises(ProviderUnreachable):
        read(shown, shown.token())


def test_a_provider_whose_name_ends_in_a_slash_is_known_without(shown: Published) -> None:
    shown.documents["/.well-known/openid-configuration"]["issuer"] += "/"
    assert read(shown, shown.token(iss=f"{shown.issuer}/"))
