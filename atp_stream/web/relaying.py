"""Reading another worker's stream of its own partitions, on behalf of somebody who watches the cluster."""

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from atp_stream.web.forwarding import FORWARDED, GROUP, WORKER, Forwarding
from atp_stream.web.stream_messages import Message, places_of

_CONNECT_SECONDS: Final = 2.0
#: A worker says how it is every second.
_SILENT_SECONDS: Final = 5.0
_MOST_BYTES: Final = 4 << 20
_EVENT: Final = re.compile(r"[a-z]{1,20}")


class Lost(Exception):
    """The other worker's stream has ended, or there is none."""


class Parser:
    """Cuts bytes into the messages of a worker's own stream. Raises `Lost` on what is none."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with these bytes."""
        *parts, self._rest = (self._rest + data).split(b"\n\n")
        if len(self._rest) > _MOST_BYTES:
            raise Lost("a message has no end")
        return [message for part in parts if (message := self._message(part)) is not None]

    @staticmethod
    def _message(part: bytes) -> Message | None:
        fields = dict(line.split(b": ", 1) for line in part.split(b"\n") if b": " in line and not line.startswith(b":"))
        if b"data" not in fields:
            return None
        event, places = fields.get(b"event", b"").decode(errors="replace"), places_of(fields.get(b"id", b"").decode())
        if not _EVENT.fullmatch(event) or len(places) != 1:
            raise Lost("not the stream of one worker")
        ((run, position),) = places.items()
        return Message(event, fields[b"data"], run, position)


@dataclass
class Relaying:
    """Connects to other workers, as `forwarding` does for single requests."""

    forwarding: Forwarding
    _session: aiohttp.ClientSession | None = None

    async def watch(
        self, url: str, query: str, passed: Mapping[str, str], known: str | None
    ) -> AsyncGenerator[Message, None]:
        """Yield what the worker at `url` says. Raises `Lost` when it ends.

        url: of a worker of the group, as the group says it. query: with the path. passed: headers of who asks, as each
        worker judges itself who may see what. known: as `Last-Event-ID`.
        """
        headers = {
            **passed,
            FORWARDED: self.forwarding.inspection.own_url,
            GROUP: self.forwarding.group,
            "Accept": "text/event-stream",
        }
        if known is not None:
            headers["Last-Event-ID"] = known
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS)
        target = URL(url.rstrip("/") + query, encoded=True)
        parser = Parser()
        try:
            async with self._client().get(target, headers=headers, allow_redirects=False, timeout=timeout) as response:
                if response.status != 200 or response.headers.get(WORKER) != url:
                    raise Lost(f"it answers {response.status}")
                async for chunk in response.content.iter_any():
                    for message in parser.feed(chunk):
                        yield message
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as failure:
            raise Lost(type(failure).__name__) from failure
        raise Lost("its stream has ended")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self.forwarding.tls or True)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
