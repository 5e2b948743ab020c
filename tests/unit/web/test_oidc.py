"""Bearer tokens that are JWTs: what is accepted, and where the keys to check them come from."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as aioweb
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from atp_stream.errors import ConfigurationError
from atp_stream.local.ports import free_port
from atp_stream.settings import WebSettings
from atp_stream.web import jwt_keys
from atp_stream.web.auth import Principal, Role
from atp_stream.web.errors import ApiError
from atp_stream.web.oidc import LEEWAY_SECONDS, REMEMBER_SECONDS, Jwt

from .serving import bearer, served

NOW = 1_900_000_000
ISSUER, AUDIENCE = "https://login.example.com", "atp"


def rsa(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


KEYS: dict[str, Key] = {
    "RS256": rsa("one"),
    "PS256": rsa("two"),
    "ES256": ECKey.generate_key("P-256", {"kid": "three"}),
    "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "four"}),
}


class Clock:
    seconds = 0.0
    epoch = float(NOW)

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> float:
        return self.epoch

    def move(self, seconds: float) -> None:
        self.seconds += seconds
        self.epoch += seconds


def claims(**changed: Any) -> dict[str, Any]:
    found = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "shop",
        "exp": NOW + 600,
        "tenant": "west",
        "role": "read",
        **changed,
    }
    return {name: value for name, value in found.items() if value is not None}


def signed(
    key: Key = KEYS["RS256"], algorithm: str = "RS256", header: dict[str, Any] | None = None, **changed: Any
) -> str:
    return jwt.encode(
        {"alg": algorithm, "kid": key.kid, **(header or {})}, claims(**changed), key, algorithms=[algorithm]
    )


def key_set(*keys: Key) -> str:
    return json.dumps({"keys": [key.as_dict(private=isinstance(key, OctKey)) for key in keys]})


def settings(keys: str, **changed: Any) -> WebSettings:
    return WebSettings(auth="jwt", jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_keys=keys, **changed)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(key_set(*KEYS.values()), encoding="utf-8")
    return path


def withdraw_all_but(key: Key, file: Path) -> None:
    file.write_text(key_set(key), encoding="utf-8")


async def refused(tokens: Jwt, token: str, status: int = 401) -> str:
    with pytest.raises(ApiError) as caught:
        await tokens.principal(token)
    assert caught.value.status == status
    return caught.value.message


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_given_a_token_of_the_issuer_for_us_then_it_is_whose_it_says(algorithm: str, file: Path) -> None:
    clock = Clock()
    tokens = Jwt(settings(str(file)), clock, clock.now)
    key = KEYS[algorithm]
    assert await tokens.principal(signed(key, algorithm)) == Principal("shop", "west", Role.READ)
    every = signed(key, algorithm, tenant="*", role=["other", 7, {}, "read", "allocate"], aud=["x", AUDIENCE])
    assert await tokens.principal(every) == Principal("shop", None, Role.ALLOCATE)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "other"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"exp": None},
        {"exp": NOW - LEEWAY_SECONDS},
        {"exp": "never"},
        {"exp": True},
        {"nbf": NOW + LEEWAY_SECONDS + 1},
    ],
)
async def test_given_claims_that_are_not_right_then_the_token_is_401(changed: dict[str, Any], file: Path) -> None:
    clock = Clock()
    await refused(Jwt(settings(str(file)), clock, clock.now), signed(**changed))


async def test_given_a_clock_that_is_a_little_off_then_the_token_is_accepted_and_an_expired_one_is_said_to_be(
    file: Path,
) -> None:
    clock = Clock()
    tokens = Jwt(settings(str(file)), clock, clock.now)
    await tokens.principal(signed(exp=NOW - LEEWAY_SECONDS + 1, nbf=NOW + LEEWAY_SECONDS))
    assert "expired" in await refused(tokens, signed(exp=NOW - 100))


@pytest.mark.parametrize(
    "changed", [{"tenant": None}, {"tenant": ""}, {"tenant": ["west"]}, {"role": None}, {"role": "x"}, {"role": {}}]
)
async def test_given_a_token_that_names_no_tenant_or_role_then_it_is_403_and_never_of_all(
    changed: dict[str, Any], file: Path
) -> None:
    clock = Clock()
    await refused(Jwt(settings(str(file)), clock, clock.now), signed(**changed), 403)


async def test_given_other_claims_for_tenant_and_role_in_the_settings_then_those_are_read(file: Path) -> None:
    clock = Clock()
    tokens = Jwt(settings(str(file), jwt_tenant_claim="org", jwt_role_claim="groups"), clock, clock.now)
    found = await tokens.principal(signed(tenant=None, role=None, org="east", groups=["admin"]))
    assert found == Principal("shop", "east", Role.ADMIN)


async def test_given_forged_tokens_then_none_is_accepted(file: Path) -> None:
    clock = Clock()
    tokens = Jwt(settings(str(file)), clock, clock.now)
    head, body, signature = signed().split(".")
    secret = OctKey.import_key("a-secret-of-enough-length-for-hs256!", {"kid": "one"})
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    other = base64.urlsafe_b64encode(json.dumps(claims(role="admin")).encode()).rstrip(b"=").decode()
    for forged in (
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "a.b.c",
        "",
        ".." * 50,
        "\u00e9.\u00e9.\u00e9",
        "\udcff",
        signed(secret, "HS256"),
        signed(rsa("one")),
        signed(rsa("nobody")),
        signed(ECKey.generate_key("P-256", {"kid": "one"}), "ES256"),
        f"{head}.{body}.{signature}" + "x" * 20_000,
    ):
        await refused(tokens, forged)


async def test_given_a_checked_token_then_it_is_remembered_for_a_minute_but_not_beyond_its_end(file: Path) -> None:
    clock = Clock()
    tokens = Jwt(settings(str(file)), clock, clock.now)
    token = signed(exp=NOW + 10)
    await tokens.principal(token)
    clock.move(10 + LEEWAY_SECONDS)
    assert "expired" in await refused(tokens, token)
    longer = signed(exp=NOW + 3600)
    await tokens.principal(longer)
    withdraw_all_but(KEYS["ES256"], file)
    clock.move(REMEMBER_SECONDS + jwt_keys.OLD_SECONDS)
    await refused(tokens, longer)  # its key was withdrawn


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON Web Key Set"),
        ('{"keys": []}', "not a JSON Web Key Set"),
        ('{"keys": [{"kty": "RSA"}]}', "not a JSON Web Key Set"),
        (key_set(OctKey.generate_key(256, {"kid": "x"})), "no public key"),
        ('{"keys": [' + "[" * 200_000, "not a JSON Web Key Set"),
    ],
    ids=["no JSON", "no object", "no keys", "half a key", "a secret key", "deep"],
)
def test_given_a_file_without_public_keys_then_the_start_is_refused(text: str, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        Jwt(settings(str(path)))
    assert cause in caught.value.cause
    assert caught.value.setting == "web.jwt_keys"


# --- keys of a URL ---


class Issuer:
    """What the issuer answers, and how often it was asked."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/keys"
        self.body = key_set(KEYS["RS256"])
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked = 0

    async def answer(self, request: aioweb.Request) -> aioweb.Response:
        self.asked += 1
        return aioweb.Response(text=self.body, status=self.status, headers=self.headers)


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = aioweb.Application()
    app.router.add_get("/{any}", issuer.answer)
    runner = aioweb.AppRunner(app)
    await runner.setup()
    await aioweb.TCPSite(runner, "127.0.0.1", issuer.port).start()
    try:
        yield issuer
    finally:
        await runner.cleanup()


async def test_given_a_url_then_an_unknown_key_is_asked_for_at_most_every_so_many_seconds() -> None:
    async with issuing() as issuer:
        clock = Clock()
        tokens = Jwt(settings(issuer.url), clock, clock.now)
        await tokens.principal(signed())
        newer = rsa("newer")
        for number in range(20):
            await refused(tokens, signed(newer))
            await refused(tokens, signed(newer, header={"kid": f"made-up-{number}"}))
        assert issuer.asked == 1
        issuer.body = key_set(KEYS["RS256"], newer)
        clock.move(jwt_keys.FETCH_EVERY_SECONDS)
        await tokens.principal(signed(newer))
        assert issuer.asked == 2


async def test_given_an_issuer_that_is_away_or_answers_nonsense_then_the_known_keys_stay_and_a_start_says_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with issuing() as issuer:
        clock = Clock()
        tokens = Jwt(settings(issuer.url), clock, clock.now)
        await tokens.principal(signed())
        for body, status, headers in (
            ("", 500, {}),
            ("{}", 200, {}),
            (key_set(rsa("too-large")) + " " * (300 << 10), 200, {}),
            ("", 302, {"Location": f"http://127.0.0.1:{issuer.port}/elsewhere"}),
        ):
            issuer.body, issuer.status, issuer.headers = body, status, headers
            clock.move(jwt_keys.OLD_SECONDS)
            asked = issuer.asked
            assert (await tokens.principal(signed(exp=NOW * 2))).name == "shop"
            assert issuer.asked == asked + 1  # which a redirect would make two
        assert "stay in force" in caplog.text
    clock.move(jwt_keys.OLD_SECONDS)
    assert (await tokens.principal(signed(exp=NOW * 2))).name == "shop"
    fresh = Jwt(settings(issuer.url), clock, clock.now)
    await refused(fresh, signed(exp=NOW * 2), 503)


async def test_given_a_server_with_jwt_then_a_request_is_let_in_by_its_token(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_set(KEYS["RS256"]), encoding="utf-8")
    options = settings(str(path)).model_dump(exclude_defaults=True)
    async with served(**options) as client:
        async with client.get("/items/x", headers=bearer(signed(exp=NOW * 2))) as answer:
            assert await answer.json() == {"tenant": "west"}
        async with client.get("/items/x", headers=bearer(signed(exp=1))) as answer:
            assert answer.status == 401
