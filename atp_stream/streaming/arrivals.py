"""What has arrived since the engine last looked: the fetches of one transaction."""

from collections.abc import AsyncIterable, Iterator
from typing import Any

from faust.types import StreamT

from .gate import Fetch


async def arrivals(stream: StreamT[Fetch], most_records: int) -> AsyncIterable[list[Fetch]]:
    """Yield what has arrived: the fetch that ended the wait, and those that queued up behind it meanwhile."""
    async for event in stream.events():
        fetch: Any = event.value
        yield [fetch, *_queued(stream, most_records - fetch.weight)]


def _queued(stream: StreamT[Fetch], room: int) -> Iterator[Fetch]:
    queue: Any = stream.channel.queue  # type: ignore[attr-defined]
    while room > 0 and not queue.empty():
        fetch: Fetch = queue.get_nowait().value
        room -= fetch.weight
        yield fetch
