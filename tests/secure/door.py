"""A door in front of the registry, which speaks plain HTTP: TLS, a user name and a password."""

import asyncio
import base64
import contextlib
import selectors
import ssl
import threading
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from .certificates import HOST, Identity

_STOP_SECONDS = 10
_LAST_SECONDS = 2


class RegistryDoor:
    """Passes on to `target` what comes by https with the right login; else 401. Leaving the `with` closes it."""

    def __init__(self, target: str, identity: Identity, user: str, password: str) -> None:
        self._target, self._login = target, f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(identity.certificate, identity.key)
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0
        #: How many requests came with the right login, and with another or none.
        self.passed = self.refused = 0

    @property
    def url(self) -> str:
        """The registry's address behind the door."""
        return f"https://{HOST}:{self._port}"

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0, ssl_context=self._context)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()  # TLS would wait for the other side to take leave, which may be dead
        await self._runner.cleanup()
        await self._session.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                while len(self._selector.get_map()) > 1:  # noqa: ASYNC110 - nobody tells; one is the loop's own
                    await asyncio.sleep(0.01)

    async def _pass_on(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._login:
            self.refused += 1
            return web.json_response({"error_code": 401, "message": "log in"}, status=401)
        self.passed += 1
        kept = {name: value for name, value in request.headers.items() if name in ("Accept", "Content-Type")}
        url = URL(f"{self._target}{request.raw_path}", encoded=True)
        async with self._session.request(request.method, url, data=await request.read(), headers=kept) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), headers={"Content-Type": answer.headers["Content-Type"]}
            )

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(_STOP_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
