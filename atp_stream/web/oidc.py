"""Bearer tokens that are JWTs of one issuer (OpenID Connect): signature, issuer, audience and time are checked."""

import hashlib
import time
from collections.abc import Callable
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError

from atp_stream.settings import WebSettings
from atp_stream.web.auth import Principal, Role, unauthenticated
from atp_stream.web.errors import ApiError
from atp_stream.web.jwt_keys import JwtKeys

#: Signatures with a pair of keys only: a shared secret, or no signature at all, is never accepted.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
LEEWAY_SECONDS: Final = 30
#: Seconds for which a checked token need not be checked again: a signature takes as long as a whole request.
REMEMBER_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 2_000

_ROLES: Final = {role.name.lower(): role for role in Role}


class Jwt:
    """Lets in who has a token of the issuer for us. `clock` in seconds, `now` in seconds since 1970."""

    def __init__(
        self,
        settings: WebSettings,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        assert settings.jwt_issuer is not None
        assert settings.jwt_audience is not None
        assert settings.jwt_keys is not None
        self._keys = JwtKeys(settings.jwt_keys, clock)
        self._tenant_claim, self._role_claim = settings.jwt_tenant_claim, settings.jwt_role_claim
        self._clock, self._now = clock, now
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.jwt_issuer},
            aud={"essential": True, "value": settings.jwt_audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        # Headers that a issuer adds for itself are let be; those that it marks as critical are not.
        self._registry = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        self._remembered: dict[bytes, tuple[Principal, float, float]] = {}

    async def principal(self, token: str) -> Principal:
        """Return whose token it is.

        `ApiError`: 401: it is not valid, or not yet, or no more; 403: it names no tenant or no role; 503: the issuer's
        keys cannot be fetched.
        """
        hashed = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        remembered = self._remembered.get(hashed)
        if remembered is not None:
            principal, until, expires = remembered
            if self._clock() < until and self._now() < expires:
                return principal
            del self._remembered[hashed]
        claims = await self._checked(token)
        principal = Principal(str(claims["sub"]), self._tenant(claims), self._role(claims))
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[hashed] = principal, self._clock() + REMEMBER_SECONDS, claims["exp"] + LEEWAY_SECONDS
        return principal

    async def _checked(self, token: str) -> dict[str, Any]:
        try:
            header = jws.extract_compact(token.encode()).headers()
            key_id = header.get("kid")
            if header.get("alg") not in ALGORITHMS or not isinstance(key_id, str | None):
                raise unauthenticated("the token is not valid", given=True)
            key = await self._keys.key(key_id)
            if key is None:
                raise unauthenticated("the token is signed with a key that is not known", given=True)
            claims = jwt.decode(token, key, registry=self._registry).claims
            self._claims.validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError, AttributeError) as wrong:
            what = "has expired" if getattr(wrong, "error", "") == "expired_token" else "is not valid"
            raise unauthenticated(f"the token {what}", given=True) from None
        return claims

    def _tenant(self, claims: dict[str, Any]) -> str | None:
        tenant = claims.get(self._tenant_claim)
        if not isinstance(tenant, str) or not tenant:
            raise ApiError(403, "TENANT_FORBIDDEN", "the token names no tenant")
        return None if tenant == "*" else tenant

    def _role(self, claims: dict[str, Any]) -> Role:
        named = claims.get(self._role_claim)
        each_named = named if isinstance(named, list) else [named]
        roles = [_ROLES[each] for each in each_named if isinstance(each, str) and each in _ROLES]
        if not roles:
            raise ApiError(403, "ROLE_FORBIDDEN", "the token names no role")
        return max(roles)
