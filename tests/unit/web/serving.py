"""The web server in this process, on a port of its own, without a worker behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import faust
from aiohttp import web as aioweb

from atp_stream.local.ports import free_port
from atp_stream.settings import WebSettings
from atp_stream.web.auth import Access, known_principal, tenant_of, tenant_or_all
from atp_stream.web.connections import Site
from atp_stream.web.credentials import tls_context
from atp_stream.web.opening import open_web
from atp_stream.web.server import Web


async def whoami(request: aioweb.Request) -> aioweb.Response:
    principal = known_principal(request)
    return aioweb.json_response({"name": None if principal is None else principal.name})


async def one_item(request: aioweb.Request) -> aioweb.Response:
    return aioweb.json_response({"tenant": tenant_of(request)})


async def a_list(request: aioweb.Request) -> aioweb.Response:
    return aioweb.json_response({"tenant": tenant_or_all(request)})


def routes(web: Web) -> None:
    """One route for each rule."""
    web.add("/probe", whoami, Access.PROBE)
    web.add("/open", whoami, Access.OPEN)
    web.add("/read", whoami, Access.READ)
    web.add("/all", whoami, Access.READ_ALL_TENANTS)
    web.add("/allocate", whoami, Access.ALLOCATE)
    web.add("/admin", whoami, Access.ADMIN)
    web.add("/items/{itemId}", one_item, Access.READ)
    web.add("/items", a_list, Access.READ)


@asynccontextmanager
async def served(add: Callable[[Web], None] = routes, **settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve these routes with these settings of the section `web`; yield a client of them."""
    found = WebSettings(**{"port": free_port(), **settings})
    app = faust.App("served", broker="kafka://127.0.0.1:1", store="memory://", datadir="/nonexistent")
    web = open_web(app, found)
    add(web)
    assert web.cors is not None  # this and the next is what Faust does when it starts it
    web.init_server()
    await web._runner.setup()
    await Site(web._runner, found.host, found.port, ssl_context=tls_context(found)).start()
    try:
        scheme = "https" if found.tls_certificate else "http"
        async with aiohttp.ClientSession(f"{scheme}://127.0.0.1:{found.port}") as client:
            yield client
    finally:
        await web._runner.cleanup()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
