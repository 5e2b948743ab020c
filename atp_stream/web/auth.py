"""Who asks, and what he may: roles, tenants, and the rule of each route."""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, Protocol

from aiohttp.web import Request, RequestKey

from atp_stream.contracts.records import MAX_ID_BYTES
from atp_stream.web.errors import ApiError

TENANT_HEADER: Final = "X-Tenant-ID"
TENANT_PARAMETER: Final = "tenantId"


class Role(IntEnum):
    """What a principal may do; each role may what the ones before it may."""

    READ = 1
    ALLOCATE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. tenant None: of all tenants."""

    name: str
    tenant: str | None
    role: Role


class Authenticator(Protocol):
    """Tells whose a token is."""

    async def principal(self, token: str) -> Principal:
        """Return whose it is. `ApiError` 401: it is nobody's, or has expired."""
        ...


class Access(Enum):
    """Who may call a route: (the least role, None: without a token; whether only a principal of all tenants)."""

    #: Health: without a token, and never refused for too many requests.
    PROBE = (None, False, "probe")
    OPEN = (None, False, "open")
    READ = (Role.READ, False, "")
    READ_ALL_TENANTS = (Role.READ, True, "")
    ALLOCATE = (Role.ALLOCATE, False, "")
    ADMIN = (Role.ADMIN, False, "")

    @property
    def role(self) -> Role | None:
        """The least role that is needed; None: not even a token."""
        role: Role | None = self.value[0]
        return role

    @property
    def all_tenants(self) -> bool:
        """Whether only a principal of all tenants is let through."""
        all_tenants: bool = self.value[1]
        return all_tenants

    def check(self, principal: Principal | None) -> None:
        """Let the principal through, or raise the `ApiError` 401 or 403."""
        if self.role is None:
            return
        if principal is None:
            raise unauthenticated("a bearer token is needed")
        if principal.role < self.role:
            raise ApiError(
                403,
                "ROLE_FORBIDDEN",
                f"the role {self.role.name.lower()} is needed",
                details={"role": self.role.name.lower()},
            )
        if self.all_tenants and principal.tenant is not None:
            raise ApiError(403, "TENANT_FORBIDDEN", "this is for principals of all tenants only")


#: Everybody, where authentication is off.
NOBODY_ASKED: Final = Principal("anonymous", None, Role.ADMIN)

PRINCIPAL: Final = RequestKey("principal", Principal)


def unauthenticated(message: str, *, given: bool = False) -> ApiError:
    """Return the 401. given: there was a token, which is no good."""
    challenge = 'Bearer realm="atp-stream"' + (', error="invalid_token"' if given else "")
    return ApiError(401, "UNAUTHENTICATED", message, headers={"WWW-Authenticate": challenge})


def known_principal(request: Request) -> Principal | None:
    """Return who asks; None: nobody has said so, which only open routes get to see."""
    return request.get(PRINCIPAL)


def principal_of(request: Request) -> Principal:
    """Return who asks. `ApiError` 401: nobody has said so, on a route that is open."""
    principal = known_principal(request)
    if principal is None:
        raise unauthenticated("a bearer token is needed")
    return principal


def tenant_of(request: Request) -> str:
    """Return the one tenant a request is about.

    `ApiError`: 400 TENANT_REQUIRED: it is of a principal of all tenants, and names none; 403 TENANT_FORBIDDEN: it names
    another tenant than the principal's.
    """
    tenant = tenant_or_all(request)
    if tenant is None:
        raise ApiError(400, "TENANT_REQUIRED", f"name the tenant in the header {TENANT_HEADER}")
    return tenant


def tenant_or_all(request: Request) -> str | None:
    """Return the tenant that a list or stream is of; None: of all tenants. `ApiError`: as `tenant_of`."""
    own = principal_of(request).tenant
    named = _named(request)
    if own is None or named is None:
        return named if own is None else own
    if named != own:
        raise ApiError(403, "TENANT_FORBIDDEN", "the token is of another tenant")
    return own


def _named(request: Request) -> str | None:
    header, parameter = request.headers.get(TENANT_HEADER), request.query.get(TENANT_PARAMETER)
    if header is not None and parameter is not None and header != parameter:
        raise ApiError(400, "BAD_REQUEST", f"{TENANT_HEADER} and {TENANT_PARAMETER} name different tenants")
    named = parameter if header is None else header
    if named is None:
        return None
    # What is not UTF-8 in a header comes as half surrogate pairs, which cannot be encoded again.
    if not 1 <= len(named.encode(errors="replace")) <= MAX_ID_BYTES or not named.isprintable():
        raise ApiError(400, "BAD_REQUEST", f"a tenant is 1 to {MAX_ID_BYTES} bytes of printable text")
    return named
