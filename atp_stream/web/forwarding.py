"""Asking other workers of the group on behalf of a request: once, never in a loop, and only where the group says.

The one that is asked refuses what it does not have, so that an answer is the owner's or none (streaming/inspection.py).
"""

import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from atp_stream.streaming.inspection import Inspection
from atp_stream.web.auth import TENANT_HEADER
from atp_stream.web.errors import ApiError
from atp_stream.web.trace import trace_id_of

WORKER: Final = "Atp-Worker"
#: On a request that another worker has passed on: the address of that. Such a request goes no further.
FORWARDED: Final = "Atp-Forwarded-By"
#: Beside it, the group: at an address that is not what the group takes it for, a worker of another may listen.
GROUP: Final = "Atp-Group"

SECONDS: Final = 2.0
MOST_BYTES: Final = 8 << 20

_PASSED_ON: Final = ("Authorization", TENANT_HEADER)
_PASSED_BACK: Final = (
    "Content-Type",
    "Retry-After",
    "WWW-Authenticate",
    "Atp-Position",
    "Atp-As-Of",
    "Atp-Age",
    WORKER,
)
#: What an owner may answer for itself; anything else is no answer of a worker's API.
_STATUSES: Final = frozenset({200, 400, 401, 403, 404, 429, 503})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What another worker answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Forwarding:
    """Asks other workers. `group` is the consumer group's name. tls: whom to trust; None: whom the system trusts."""

    inspection: Inspection
    group: str
    tls: ssl.SSLContext | None = None
    #: How many requests were passed on, by what came of it: "answered" or "unreachable".
    passed_on: Counter[str] = field(default_factory=Counter)
    _session: aiohttp.ClientSession | None = None

    def is_forwarded(self, request: web.Request) -> bool:
        """Whether another worker of the group asks. `ApiError` 503: one of another group does."""
        if FORWARDED not in request.headers:
            return False
        if request.headers.get(GROUP, self.group) != self.group:
            raise unreachable(
                self.inspection.own_url, f"a worker of the group {self.group} answers there, which is another"
            )
        return True

    async def ask(
        self,
        request: web.Request,
        url: str,
        *,
        seconds: float = SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask the worker at `url` the same as `request`. `ApiError` 503: it cannot be reached, or is another."""
        passed = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        passed |= {FORWARDED: self.inspection.own_url, GROUP: self.group, "traceparent": _traceparent(request)}
        target = URL(url.rstrip("/") + request.rel_url.raw_path_qs, encoded=True)
        try:
            async with self._client().get(
                target,
                headers={**passed, **(headers or {})},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                body = await _bounded(response)
                answer = Answer(response.status, response.headers, body)
        except TimeoutError:
            raise unreachable(url, f"no answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, _TooLarge) as failure:
            raise unreachable(url, type(failure).__name__) from None
        if answer.status not in _STATUSES:
            raise unreachable(url, f"its answer has the status {answer.status}")
        if answer.status in (200, 404) and answer.headers.get(WORKER) != url:
            raise unreachable(url, "another answers there")
        return answer

    async def pass_on(self, request: web.Request, url: str, seconds: float = SECONDS) -> web.Response:
        """Answer a request as the worker at `url` does. `ApiError`: as `ask`."""
        try:
            answer = await self.ask(request, url, seconds=seconds)
        except ApiError:
            self.passed_on["unreachable"] += 1
            raise
        self.passed_on["answered"] += 1
        headers = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self.tls or True)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session

    async def close(self, *_: object) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class _TooLarge(Exception):
    pass


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise _TooLarge
    return bytes(body)


def unreachable(url: str, why: str) -> ApiError:
    """Return the 503 for a worker that the group knows under `url` and that does not answer as itself there."""
    fix = "if this lasts, see to it that its web.advertised_url is its own and reached by the other workers"
    if urlsplit(url).hostname in _LOOPBACK:
        fix += "; a loopback address is reached on its own machine alone"
    return ApiError(503, "OWNER_UNREACHABLE", f"the worker at {url} was asked in vain ({why}); {fix}")


def _traceparent(request: web.Request) -> str:
    """Return the caller's, or one with the trace id that this request was given: it is one trace on both workers.

    Not sampled, as the caller did not ask for spans.
    """
    trace_id = trace_id_of(request)
    given = request.headers.get("traceparent", "")
    return given if given[3:35] == trace_id else f"00-{trace_id}-{trace_id[16:]}-00"
