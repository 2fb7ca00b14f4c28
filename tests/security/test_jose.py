"""The JOSE vectors of Wycheproof and joserfc against every place where we take a token, and tricks of our own."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from identity.published import EC, NOW, RSA, Published, published
from joserfc import jws, jwt
from joserfc.jwk import JWKRegistry, RSAKey

from agent_analytics.errors import Forbidden
from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.serving.machine_clients import MachineClients
from agent_analytics.serving.oidc import ALGORITHMS, IdentityRefused, Provider, ProviderUnreachable
from agent_analytics.settings import Settings

START = int(NOW.timestamp())
ADA = Principal("ORG_ADMIN", "acme", "ada")
FILES = ("crypto", "encryption", "key", "signature")
OTHERS = ("jws_examples", "jws_rfc7520", "jws_rfc7797", "jwt_use_jws")


@dataclass(frozen=True, eq=False)
class Vector:
    """A token, the keys it came with, and whether its authors hold it to be good."""

    name: str
    token: str
    keys: tuple[dict[str, Any], ...]
    is_good: bool


def wycheproof(data: Path) -> list[Vector]:
    return [
        Vector(
            f"{name} {test['tcId']} {test['comment']}",
            _text(test.get("jws", test.get("jwe"))),
            _keys(group),
            test["result"] == "valid",
        )
        for name in FILES
        for group in json.loads((data / "hostile-jwt" / f"json_web_{name}_test.json").read_text())["testGroups"]
        for test in group["tests"]
    ]


def _text(token: Any) -> str:
    return token if isinstance(token, str) else json.dumps(token)


def _keys(group: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    key = group.get("public", group["private"])
    return tuple(key.get("keys", [key]))


def joserfc(data: Path) -> list[str]:
    """Every serialization of every example, as text; they come without their keys."""
    documents = [json.loads((data / "hostile-jwt" / f"joserfc_{name}.json").read_text()) for name in OTHERS]
    tests = [test for document in documents for test in document["tests"]]
    forms = ("compact", "token", "general_json", "flattened_json")
    return [_text(test[form]) for test in tests for form in forms if form in test]


@pytest.fixture
def shown() -> Iterator[Published]:
    with published() as shown:
        yield shown


def clients(shown: Published, home: Path) -> MachineClients:
    return MachineClients(Settings(home=home, oidc_issuer=shown.issuer, api_audience="us"))


def taken(shown: Published, home: Path, token: str) -> list[str]:
    """The places that take a token; each must refuse it, not break."""
    return all_taken(shown, home, [token])[token]


def all_taken(shown: Published, home: Path, hostile: list[str]) -> dict[str, list[str]]:
    """As `taken`, of each."""

    async def tried() -> dict[str, list[str]]:
        provider, bearer = Provider(shown.issuer), clients(shown, home)
        places: dict[str, Callable[[str], Any]] = {
            "sign-in": lambda token: provider.identity(token, "us", NOW),
            "access": lambda token: provider.access(token, "us", NOW),
            "bearer": lambda token: bearer.vouched(token, NOW),
            "our own": lambda token: asyncio.to_thread(tokens.verify, home, token, NOW),
        }
        return {token: [name for name, place in places.items() if await _told(place(token))] for token in hostile}

    return asyncio.run(tried())


async def _told(asked: Any) -> bool:
    try:
        await asked
    except Forbidden:
        return False
    return True


def signature_holds(shown: Published, token: str) -> bool:
    """Whether header, key and signature pass, before anything is asked of the claims."""
    try:
        asyncio.run(Provider(shown.issuer).opened(token, NOW))
    except (IdentityRefused, ProviderUnreachable):
        return False
    return True


def algorithm_of(token: str) -> str:
    return str((tokens.unverified_header(token) or {}).get("alg"))


def test_of_the_vectors_exactly_the_good_ones_of_our_algorithms_hold(shared: Path, shown: Published) -> None:
    """Each with its keys published as our provider's."""
    vectors = wycheproof(shared)
    assert (len(vectors), sum(not vector.is_good for vector in vectors)) == (649, 527)
    held = set()
    for vector in vectors:
        shown.documents["/jwks"] = {"keys": vector.keys}
        if signature_holds(shown, vector.token):
            held.add(vector)
    ours = {vector for vector in vectors if vector.is_good and algorithm_of(vector.token) in ALGORITHMS}
    assert {vector.name for vector in held - ours} == set()
    assert {vector.name for vector in ours - held} == set()
    assert len(held) == 13


def test_no_vector_is_a_token_for_us(shared: Path, shown: Published, tmp_path: Path) -> None:
    """They name nobody; and of all algorithms, only a few are ours."""
    vectors, others = wycheproof(shared), joserfc(shared)
    assert len(others) > 30
    published = {json.dumps(key): key for vector in vectors for key in vector.keys}
    shown.documents["/jwks"] = {"keys": list(published.values())}
    found = all_taken(shown, tmp_path, [*(vector.token for vector in vectors), *others])
    assert [text for text, places in found.items() if places] == []


def encoded(document: Any) -> str:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token whose header no library would write."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def who(shown: Published, **changed: Any) -> dict[str, Any]:
    return shown.claims(organization="acme", role="ORG_ADMIN", **changed)


def hmac_by(key: str | bytes) -> Callable[[bytes], bytes]:
    secret = key.encode() if isinstance(key, str) else key
    return lambda text: hmac.new(secret, text, hashlib.sha256).digest()


def test_a_good_token_is_taken_where_it_belongs_and_nowhere_else(shown: Published, tmp_path: Path) -> None:
    """So that the refusals below are not for nothing."""
    claims = {"organization": "acme", "role": "ORG_ADMIN", "exp": START + 60}
    assert taken(shown, tmp_path, shown.token(**claims)) == ["sign-in"]
    assert taken(shown, tmp_path, shown.token(header={"typ": "at+jwt"}, **claims)) == ["access", "bearer"]
    assert taken(shown, tmp_path, tokens.issue(tmp_path, ADA, NOW)) == ["our own"]


THIEF = RSAKey.generate_key(2048, {"kid": "rsa"})
PEM = RSA.as_pem(private=False)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "aa+jwt"])
def test_a_token_that_brings_its_own_key_or_none_is_refused(shown: Published, tmp_path: Path, typ: str) -> None:
    claims, good = who(shown, exp=START + 60), {"kid": "rsa", "typ": typ}
    public = THIEF.as_dict(private=False)
    shown.documents["/thief"] = {"keys": [public]}
    theirs = f"{shown.issuer}/thief"
    headers = [
        {"jwk": public},
        {"jku": theirs},
        {"x5u": theirs},
        {"x5c": ["MIIB"]},
        {"jku": theirs, "jwk": public},
        {"kid": "../../thief"},
        {"kid": theirs},
        {"kid": "rsa' or '1'='1"},
        {"kid": "rsa\0"},
        {"kid": None},
        {"kid": ["rsa"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["http://example.invalid/UNDEFINED"], "http://example.invalid/UNDEFINED": True},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
    ]
    hostile = [jwt.encode({"alg": "RS256", **good}, claims, THIEF)]
    hostile += [
        by_hand({"alg": "RS256", **good, **more}, claims, lambda text: _signed(THIEF, text)) for more in headers
    ]
    hostile += [by_hand({"alg": alg, **good}, claims, lambda _: b"") for alg in ("none", "None", "nOnE", "", "RS256")]
    for secret in (PEM, PEM.strip(), encoded(RSA.as_dict(private=False)), "", json.dumps(RSA.as_dict(private=False))):
        hostile += [by_hand({"alg": alg, **good}, claims, hmac_by(secret)) for alg in ("HS256", "RS256", "ES256")]
    hostile += [
        by_hand({"alg": "ES256", **good, "kid": "ec"}, claims, lambda _, size=size: bytes(size)) for size in (0, 64)
    ]
    assert [token for token, places in all_taken(shown, tmp_path, hostile).items() if places] == []
    assert shown.asked.count("/thief") == 0


def _signed(key: RSAKey, text: bytes) -> bytes:
    return jws.JWSRegistry.algorithms["RS256"].sign(text, key)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt"])
@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
def test_a_well_signed_token_for_another_purpose_is_refused(
    shown: Published, tmp_path: Path, key: Any, typ: str
) -> None:
    wrong = [
        *({"iss": "https://id.example.com"}, {"iss": f"{shown.issuer}/"}, {"iss": None}, {"iss": [shown.issuer]}),
        *({"aud": "them"}, {"aud": None}, {"aud": "US"}, {"aud": "us "}, {"aud": {"us": 1}}, {"aud": []}),
        *(
            {"exp": START - 31},
            {"exp": None},
            {"exp": "2100-01-01"},
            {"exp": -1},
            {"nbf": START + 31},
            {"iat": START + 31},
        ),
        *({"sub": None}, {"sub": ["ada"]}, {"organization": None}, {"role": "SERVICE"}, {"role": None}),
    ]
    claims = [who(shown) | changed for changed in ({"exp": START + 60} | each for each in wrong)]
    good = [{name: value for name, value in each.items() if value is not None} for each in claims]
    hostile = [
        jwt.encode({"alg": "ES256" if key is EC else "RS256", "kid": key.kid, "typ": typ}, each, key) for each in good
    ]
    about_rights = {"organization", "role"}
    for each, token in zip(wrong, hostile, strict=True):
        refused_later = ["sign-in"] if typ == "JWT" else ["access"]
        assert taken(shown, tmp_path, token) == (refused_later if about_rights & set(each) else []), each


def test_an_azp_of_another_client_and_a_wrong_typ_are_refused(shown: Published, tmp_path: Path) -> None:
    for changed in ({"azp": "them"}, {"aud": ["us", "them"]}):
        assert "sign-in" not in taken(shown, tmp_path, shown.token(exp=START + 60, **changed))
    for typ in ("logout+jwt", "dpop+jwt", "secevent+jwt", "aa+jwt", "", "at+jwt, JWT"):
        assert taken(shown, tmp_path, shown.token(header={"typ": typ}, exp=START + 60)) == []


def test_our_own_tokens_are_nobody_elses(tmp_path: Path) -> None:
    """Neither another installation's, nor ours changed, late, of the future, or for something else."""
    good = tokens.issue(tmp_path, ADA, NOW)
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    key = tokens._key(tmp_path)
    hostile = [
        tokens.issue(tmp_path / "another", ADA, NOW),
        tokens.issue(tmp_path, ADA, NOW - timedelta(seconds=25)),
        tokens.issue(tmp_path, ADA, NOW + timedelta(seconds=61)),
        f"{head}.{encoded(claims | {'exp': START + 9999})}.{signature}",
        f"{encoded({'alg': 'none', 'typ': 'aa+jwt'})}.{body}.",
        by_hand({"alg": "HS256", "typ": "aa+jwt"}, claims, hmac_by(key.as_pem(private=False))),
        *(
            jwt.encode({"alg": "Ed25519", "typ": typ}, claims | more, key, algorithms=["Ed25519"])
            for typ, more in (
                ("JWT", {}),
                ("at+jwt", {}),
                ("aa+jwt", {"aud": "x"}),
                ("aa+jwt", {"principal": {"role": "x"}}),
            )
        ),
        f"{encoded({'alg': 'Ed25519', 'typ': 'aa+jwt', 'crit': ['x'], 'x': 1})}.{body}.{signature}",
    ]
    for token in hostile:
        with pytest.raises(Forbidden):
            tokens.verify(tmp_path, token, NOW)
    assert tokens.verify(tmp_path, good, NOW + timedelta(seconds=24)).principal == ADA


def test_a_key_that_can_be_factored_is_not_used(shared: Path, shown: Published) -> None:
    """The provider's own could be one (ROCA, CVE-2017-15361)."""
    (vector,) = [each for each in wycheproof(shared) if each.name == "crypto 46 rejectsKeyWithRocaVulnerability"]
    key = JWKRegistry.import_key({name: value for name, value in vector.keys[0].items() if name in ("kty", "n", "e")})
    assert key.raw_value.key_size >= 2048
    shown.documents["/jwks"] = {"keys": list(vector.keys)}
    assert not signature_holds(shown, vector.token)
