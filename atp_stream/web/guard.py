"""What every request goes through: trace, host, origin, size, token, rate, rule, time limit; and how its errors end.

One middleware, as each one costs a few microseconds of the event loop that events are processed on.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiohttp import web

from atp_stream.web.auth import NOBODY_ASKED, PRINCIPAL, Access, Authenticator, Principal, unauthenticated
from atp_stream.web.errors import ApiError, error_response, plain
from atp_stream.web.rate import Rate
from atp_stream.web.trace import begin_trace

log = logging.getLogger(__name__)

#: Seconds: longer than any read may wait (5 s for a position, 5 s for the owner).
MOST_SECONDS: Final = 15.0
MOST_STREAMS: Final = 100
#: Seconds after which a stream is cut: its client connects again, and shows a token that may have been revoked since.
MOST_STREAM_SECONDS: Final = 900.0
MOST_BODY_BYTES: Final = 64 << 10

_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route is: who may call it, and whether it is a stream."""

    access: Access
    stream: bool


class Answered(NamedTuple):
    """A request and its answer. route: the pattern, "-" for none. seconds: until the answer, of a stream until its end.

    traceparent: the header, as it came.
    """

    route: str
    method: str
    status: int
    seconds: float
    traceparent: str | None
    is_stream: bool


class Guard:
    """The one middleware. authenticator None: authentication is off. hosts: what `Host` may name; None: anything."""

    def __init__(
        self,
        authenticator: Authenticator | None,
        rate: Rate,
        own_origin: str,
        hosts: frozenset[str] | None,
        seconds: float = MOST_SECONDS,
    ) -> None:
        self.rules: dict[str, Rule] = {}
        #: Told of each request once its answer is known. They must be quick.
        self.observers: list[Callable[[Answered], None]] = []
        self.streams = 0
        self._authenticator = authenticator
        self._rate = rate
        self._own_origin = own_origin
        self._hosts = hosts
        self._seconds = seconds

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the request through to its handler, or answer why not."""
        began = time.perf_counter()
        trace_id = begin_trace(request)
        try:
            response = await self._admitted(request, handler)
            self._tell(request, response.status, began)
            return response
        except ApiError as refused:
            error = refused
        except web.HTTPException as raised:
            error = _of_aiohttp(raised)
        except ConnectionError:
            raise
        except Exception:
            log.exception("a request failed because of a bug: %s %s", request.method, _pattern(request))
            error = plain(500, "the request failed because of a bug; the trace id finds it in the log")
        _note(request, error.status, time.perf_counter() - began)
        self._tell(request, error.status, began)
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer was under way already")
        return error_response(error, trace_id)

    def _tell(self, request: web.Request, status: int, began: float) -> None:
        """Tell the observers of a request."""
        if self.observers:
            route = _pattern(request)
            rule, seconds = self.rules.get(route), time.perf_counter() - began
            traceparent = request.headers.get("traceparent")
            is_stream = rule is not None and rule.stream
            answered = Answered(route, request.method, status, seconds, traceparent, is_stream)
            for observe in self.observers:
                try:
                    observe(answered)
                except Exception:  # whoever only looks makes no answer a failure
                    log.exception("a request could not be told of: metrics or traces may lack it")

    async def _admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._check_place(request)
        resource = request.match_info.route.resource
        if resource is None:  # no such route, or not with this method: the handler raises what aiohttp found
            return await handler(request)
        rule = self.rules[resource.canonical]
        principal = await self._authenticated(request, rule.access)
        rule.access.check(principal)
        if principal is not None:
            request[PRINCIPAL] = principal
        if rule.stream:
            return await self._streamed(request, handler)
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                return await handler(request)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ApiError(503, "TIMEOUT", f"the answer took longer than {self._seconds:g} s") from None

    def _check_place(self, request: web.Request) -> None:
        """Refuse what a foreign page has a browser send: another host (DNS rebinding), another origin."""
        host = request.headers.get("Host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            raise plain(421, "this host is not served here; without authentication only known names are")
        origin = request.headers.get("Origin")
        if origin is not None and origin != self._own_origin and origin.partition("://")[2].lower() != host.lower():
            raise ApiError(403, "ORIGIN_FORBIDDEN", "pages of other origins are not answered")
        length = request.content_length
        if length is not None and length > MOST_BODY_BYTES:
            raise plain(413, f"a body has at most {MOST_BODY_BYTES} bytes", {"Connection": "close"})

    async def _authenticated(self, request: web.Request, access: Access) -> Principal | None:
        if self._authenticator is None:
            principal: Principal | None = NOBODY_ASKED
        else:
            principal = None
            given = request.headers.get("Authorization")
            if given is not None:
                principal = await self._whose(given)
        if access is not Access.PROBE:
            self._rate.take("" if principal is None else principal.name)
        return principal

    async def _whose(self, header: str) -> Principal:
        scheme, _, token = header.partition(" ")
        try:
            if scheme.lower() != "bearer" or not token:
                raise unauthenticated("the header Authorization must be: Bearer TOKEN", given=True)
            assert self._authenticator is not None
            return await self._authenticator.principal(token)
        except ApiError:
            self._rate.take("")  # as of everybody whom nobody knows
            raise

    async def _streamed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.streams >= MOST_STREAMS:
            raise ApiError(503, "TOO_MANY_STREAMS", "too many streams are open", headers={"Retry-After": "5"})
        self.streams += 1
        limit = asyncio.timeout(MOST_STREAM_SECONDS)
        try:
            async with limit:
                return await handler(request)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ConnectionResetError("the stream has lasted long enough") from None
        finally:
            self.streams -= 1


def _name(host: str) -> str:
    """Return the host of `HOST[:PORT]`, in small letters and without brackets; empty: it is not of that form."""
    match = _HOST_PORT.fullmatch(host)
    return "" if match is None else match[1].strip("[]").lower()


def _of_aiohttp(raised: web.HTTPException) -> ApiError:
    headers = {"Allow": raised.headers["Allow"]} if "Allow" in raised.headers else None
    return plain(raised.status, raised.reason.lower(), headers)


def _pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "-" if resource is None else resource.canonical


def _note(request: web.Request, status: int, seconds: float) -> None:
    """Log one line, without anything in it that a client chose freely: ids may be in paths and queries."""
    # A 503 says "not yet", which is no fault: while partitions move, every request may get one.
    level = logging.ERROR if status == 500 else logging.INFO if status >= 500 else logging.DEBUG
    log.log(level, "%s %s: %d in %.1f ms", request.method, _pattern(request), status, seconds * 1000)
