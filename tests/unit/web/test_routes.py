"""Every route of the worker has a rule, and each rule holds: asked of the running router, so that none is left out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from aiohttp import ClientSession
from yarl import URL

from atp_stream.app import add_routes
from atp_stream.settings import Settings
from atp_stream.web.auth import Access
from atp_stream.web.server import Web
from atp_stream.web.token_file import create_token

from .serving import bearer, served

API = "/api/v1/inventory/atp"
#: Who may call what. A new route belongs here, with what was thought about it.
RULES = {
    "/": Access.OPEN,
    "/assets/{name}": Access.OPEN,
    "/docs": Access.OPEN,
    "/docs/events": Access.OPEN,
    "/health/live": Access.PROBE,
    "/health/ready": Access.PROBE,
    f"{API}/availability": Access.READ,
    f"{API}/pools/{{itemId}}": Access.READ,
    f"{API}/reservations/{{reservationId}}": Access.READ,
    f"{API}/items": Access.READ,
    f"{API}/stream": Access.READ,
    "/api/v1/workers": Access.READ,
    "/api/v1/openapi.json": Access.READ,
    "/api/v1/asyncapi.json": Access.READ,
    "/metrics": Access.READ_ALL_TENANTS,
    "/worker": Access.READ_ALL_TENANTS,
}
FAUST_OWN = ("/table", "/table/", "/table/state", "/router/", "/router/state/x", "/graph", "/stats", "/performance")


class Served:
    """All routes of a worker, in front of a worker that there is none of."""

    def __init__(self) -> None:
        self.web: Web | None = None

    def __call__(self, web: Web) -> None:
        self.web = web
        add_routes(web, MagicMock(), Settings())

    @property
    def patterns(self) -> list[str]:
        assert self.web is not None
        return [resource.canonical for resource in self.web.web_app.router.resources()]


def asked(pattern: str) -> str:
    return pattern.replace("{itemId}", "x").replace("{reservationId}", "x").replace("{name}", "none.js")


async def status(client: ClientSession, pattern: str, headers: dict[str, str], method: str = "GET") -> int:
    async with client.request(method, asked(pattern), headers=headers) as answer:
        if answer.status >= 400 and method != "HEAD":
            assert set(await answer.json()) == {"error", "message", "details", "timestamp", "traceId"}
        return answer.status


async def test_every_route_of_the_worker_has_the_rule_that_was_thought_of_and_there_are_no_others() -> None:
    routes = Served()
    async with served(routes):
        assert routes.web is not None
        assert sorted(routes.patterns) == sorted(RULES)
        assert {pattern: rule.access for pattern, rule in routes.web.guard.rules.items()} == RULES
        assert {route.method for route in routes.web.web_app.router.routes()} == {"GET", "HEAD"}


async def test_every_route_with_a_rule_is_401_without_with_a_wrong_and_with_an_expired_token(tmp_path: Path) -> None:
    path, routes = tmp_path / "tokens.toml", Served()
    expired = create_token(path, "late", "*", "admin", datetime.now(UTC) - timedelta(seconds=1))
    async with served(routes, auth="tokens", tokens_file=path) as client:
        for pattern in routes.patterns:
            for method in ("GET", "HEAD"):
                assert await status(client, pattern, bearer("atp_wrong"), method) == 401, pattern
                assert await status(client, pattern, bearer(expired), method) == 401, pattern
                if RULES[pattern].role is not None:
                    assert await status(client, pattern, {}, method) == 401, pattern


async def test_every_route_of_all_tenants_is_403_with_the_token_of_one(tmp_path: Path) -> None:
    path, routes = tmp_path / "tokens.toml", Served()
    of_one = bearer(create_token(path, "west", "west", "admin", None))
    async with served(routes, auth="tokens", tokens_file=path) as client:
        of_all = [pattern for pattern in routes.patterns if RULES[pattern].all_tenants]
        assert of_all
        for pattern in of_all:
            assert await status(client, pattern, of_one) == 403


async def test_every_route_refuses_pages_of_other_origins_and_other_hosts() -> None:
    routes = Served()
    async with served(routes) as client:
        for pattern in routes.patterns:
            assert await status(client, pattern, {"Origin": "https://evil.example.com"}) == 403
            assert await status(client, pattern, {"Host": "evil.example.com"}) == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"])
async def test_every_route_refuses_what_is_no_reading(method: str) -> None:
    routes = Served()
    async with served(routes) as client:
        for pattern in routes.patterns:
            assert await status(client, pattern, {}, method) in (400, 404, 405)


async def test_no_file_but_the_assets_is_served() -> None:
    async with served(Served()) as client:
        for name in (
            "..%2Fserver.py",
            "%2e%2e%2fserver.py",
            "..%5Cserver.py",
            "%2Fetc%2Fpasswd",
            "../server.py",
            "%00",
            ".",
        ):
            async with client.get(URL(f"/assets/{name}", encoded=True)) as answer:
                assert answer.status == 404, name


async def test_fausts_own_routes_are_off() -> None:
    async with served(Served()) as client:
        for path in FAUST_OWN:
            assert await status(client, path, {}) == 404
