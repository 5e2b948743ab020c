"""The open connections of the web server: how many, how long without use, and what broken requests are answered.

A connection over the limit takes the place of one that waits for a request, those that never made one first; where all
are busy it is answered 503 and closed. So a flood of connections costs a bounded amount of memory, and health stays
reachable.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import hdrs, http_exceptions, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server
from multidict import CIMultiDict, CIMultiDictProxy
from typing_extensions import override

from atp_stream.web.errors import ApiError, error_response, plain
from atp_stream.web.headers import set_headers
from atp_stream.web.trace import trace_id_of

log = logging.getLogger(__name__)

#: Seconds within which a connection must make a (further) request, whole with all its headers.
IDLE_SECONDS = 30.0
#: Seconds within which a connection must have agreed on TLS.
HANDSHAKE_SECONDS = 5.0
#: Seconds for which a client may leave an answer unread before the connection is cut.
UNREAD_SECONDS = 30.0
#: Seconds for which the rest of a body that nobody reads is waited for.
_LINGER_SECONDS = 2.0
#: Seconds that requests under way have when the worker ends, and as many again once they are told; then they are cut.
_STOP_SECONDS = 0.5

# Different, as the parser tells by its limit only what it was that was too long.
_MOST_LINE_BYTES = 8_000
_MOST_HEADER_BYTES = 8_192
_MOST_HEADERS = 64

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\n\r\n"
)


class Runner(web.AppRunner):
    """aiohttp's runner with our limits on connections."""

    def __init__(self, app: web.Application, most: int) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            shutdown_timeout=_STOP_SECONDS,
            lingering_time=_LINGER_SECONDS,
            max_line_size=_MOST_LINE_BYTES,
            max_field_size=_MOST_HEADER_BYTES,
            max_headers=_MOST_HEADERS,
        )
        self._most = most

    @property
    def refused(self) -> int:
        """How many connections were refused, as all others were busy."""
        return self._server.refused if isinstance(self._server, _Server) else 0

    @override
    async def _make_server(self) -> Server:
        made = await super()._make_server()
        factory = _known_expectations(made.request_factory)
        return _Server(self._most, made.request_handler, request_factory=factory, loop=made._loop, **made._kwargs)


def _known_expectations(make: Callable[..., BaseRequest]) -> Callable[..., BaseRequest]:
    """Return `make` for messages without an `Expect` that nobody knows: aiohttp would say it back, before our guard.

    A server may leave it out of account (RFC 9110, section 10.1.1).
    """

    def without(message: RawRequestMessage, *rest: Any) -> BaseRequest:
        if message.headers.get(hdrs.EXPECT, "100-continue").lower() != "100-continue":
            headers = CIMultiDict(message.headers)
            del headers[hdrs.EXPECT]
            message = message._replace(headers=CIMultiDictProxy(headers))
        return make(message, *rest)

    return without


class Site(web.TCPSite):
    """aiohttp's site, where a connection that does not come to speak TLS is closed soon: it is not counted yet."""

    @override
    async def start(self) -> None:
        await web.BaseSite.start(self)
        assert self._runner.server is not None
        self._server = await asyncio.get_running_loop().create_server(
            self._runner.server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            ssl_handshake_timeout=None if self._ssl_context is None else HANDSHAKE_SECONDS,
            backlog=self._backlog,
        )


class _Server(Server):
    def __init__(self, most: int, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)
        self.most = most
        self.refused = 0

    @override
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def make_room(self) -> bool:
        """Close a connection that waits for a request where there is no room for one more. False: all are busy."""
        if len(self._connections) < self.most:
            return True
        waiting = [one for one in self._connections if one._waiter is not None and not one._waiter.done()]
        if not waiting:
            return False
        victim = next((one for one in waiting if one._request_count == 0), waiting[0])
        del self._connections[victim]
        victim.force_close()
        return True


class _Connection(RequestHandler):
    __slots__ = ("_unread",)

    def __init__(self, manager: _Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._unread: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(self._manager, _Server)
        if self._manager.make_room():
            super().connection_made(transport)
            return
        self._manager.refused += 1
        self._force_close = True
        assert isinstance(transport, asyncio.Transport)
        transport.write(_BUSY)
        transport.close()

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._read_on()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._unread = self._loop.call_later(UNREAD_SECONDS, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        self._read_on()
        super().resume_writing()

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    @override
    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP request, without the bytes that came: aiohttp would log them, and say them back."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer was under way already")
        error = _refusal(exc)
        log.log(
            logging.ERROR if error.status >= 500 else logging.DEBUG,
            "a request was not read: %d, %s",
            error.status,
            type(exc).__name__,
        )
        response = error_response(error, trace_id_of(request))
        set_headers(request, response)
        response.force_close()
        return response


def _refusal(exc: BaseException | None) -> ApiError:
    if isinstance(exc, http_exceptions.LineTooLong):
        if exc.args[1] == _MOST_LINE_BYTES:
            return plain(414, f"a URI has at most {_MOST_LINE_BYTES} bytes")
        return plain(431, f"a header has at most {_MOST_HEADER_BYTES} bytes")
    if isinstance(exc, http_exceptions.BadHttpMessage):
        if exc.message.startswith("Too many headers"):
            return plain(431, f"a request has at most {_MOST_HEADERS} headers")
        return plain(400, "this is not a valid HTTP request")
    return plain(500, "the request failed because of a bug")
