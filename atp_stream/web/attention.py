"""Scans of all items for the list in the order of urgency."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from atp_stream.web.errors import ApiError
from atp_stream.web.rows import AttentionPosition, Filter, KeyPosition, Position
from atp_stream.web.scan import Found, Scan

#: Less than any request may take: who has waited for so long is told to ask again, while the scan goes on.
WAIT_SECONDS: Final = 8.0
#: How long the result of a scan of all items is good for others who ask the same.
_FRESH_SECONDS: Final = 1.0
_MOST_SCANS: Final = 32


class Attention:
    """Scans for the order of urgency: one at a time on a worker, its result shared by those who ask the same.

    A scan goes on when nobody waits for it any more: who asks again finds its result.
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._turn = asyncio.Lock()
        self._scans: dict[object, asyncio.Task[Found]] = {}

    async def found(self, numbers: tuple[int, ...], wanted: Filter, after: Position | None, limit: int) -> Found:
        """Return the first rows after a position. `ApiError` 503: the scan goes on for longer than one may wait."""
        assert not isinstance(after, KeyPosition)
        asked = (numbers, wanted, after, limit)
        task = self._scans.get(asked)
        if task is None:
            if len(self._scans) >= _MOST_SCANS:
                raise ApiError(503, "TOO_MANY_SCANS", "too many lists in the order of attention are asked for")
            task = self._scans[asked] = asyncio.create_task(self._run(asked, numbers, wanted, after, limit))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting any more
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError:
            again = {"Retry-After": "2"}
            raise ApiError(503, "SCANNING", "all items are being looked at: ask again", headers=again) from None

    def close(self) -> None:
        """End what is going on."""
        for task in self._scans.values():
            task.cancel()

    async def _run(
        self, asked: object, numbers: Sequence[int], wanted: Filter, after: AttentionPosition | None, limit: int
    ) -> Found:
        loop = asyncio.get_running_loop()
        fresh = 0.0
        try:
            async with self._turn:
                began = time.monotonic()
                found = await self._scan.by_attention(numbers, wanted, after, limit)
            # A scan that takes long is used for as long: no more than half of the time goes to scans of one list.
            fresh = max(_FRESH_SECONDS, time.monotonic() - began)
            return found
        finally:
            loop.call_later(fresh, self._scans.pop, asked, None)
