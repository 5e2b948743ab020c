"""The list of items over the whole cluster: every worker reads its partitions, the one that was asked merges them.

All partitions are in the answer, or it is 503, or (`partial=true`) it names those that are not.
"""

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET

from atp_stream.contracts.keys import item_key
from atp_stream.domain.quantity import parse_quantity
from atp_stream.streaming.errors import StateUnusable
from atp_stream.streaming.inspection import Inspection, Moving, NotHere
from atp_stream.web.attention import WAIT_SECONDS, Attention
from atp_stream.web.auth import tenant_or_all
from atp_stream.web.cursor import from_cursor, to_cursor
from atp_stream.web.errors import ApiError
from atp_stream.web.forwarding import WORKER, Forwarding
from atp_stream.web.models import ItemPage, ItemRow, ItemStatus, encode, hundredths
from atp_stream.web.parameters import ItemsAsked, parse
from atp_stream.web.rows import RANKS, AttentionPosition, Filter, KeyPosition, Position
from atp_stream.web.scan import Scan
from atp_stream.web.shown import shown

PARTITIONS: Final = "Atp-Partitions"
"""On a request of another worker: the partitions that it wants, as numbers with commas between."""

#: A worker answers a list in the order of keys after a second at the latest.
_KEY_SECONDS: Final = 3.0
_FORWARD_SECONDS: Final = 2.0

_page: Final = msgspec.json.Decoder(ItemPage)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for. partitions: only those, by a worker that merges; None: all."""

    rows: Filter
    order: str
    after: Position | None
    limit: int
    partial: bool
    partitions: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of some partitions, in order. after: as in `Found`. missing: of those partitions, the unreadable."""

    rows: Sequence[tuple[Position, ItemRow]]
    after: Position | None
    missing: tuple[int, ...] = ()


@dataclass
class Listing:
    """The handler."""

    inspection: Inspection
    scan: Scan
    forwarding: Forwarding
    _attention: "Attention" = field(init=False)

    def __post_init__(self) -> None:
        self._attention = Attention(self.scan)

    async def items(self, request: web.Request) -> web.Response:
        """`GET /api/v1/inventory/atp/items`."""
        wanted = self._wanted(request)
        if wanted.partitions is not None:
            parts = [await self._own(wanted, wanted.partitions)]
        else:
            parts = await self._all(request, wanted)
        missing = sorted(number for part in parts for number in part.missing)
        rows, after = _merged(parts, wanted.limit)
        page = ItemPage(rows, None if after is None else to_cursor(after), missing)
        headers = {WORKER: self.inspection.own_url}
        return web.Response(body=encode(page), content_type="application/json", headers=headers)

    async def close(self, *_: object) -> None:
        """End what is going on."""
        self._attention.close()

    def _wanted(self, request: web.Request) -> _Wanted:
        asked = parse(request, ItemsAsked)
        statuses = frozenset() if asked.status is UNSET else frozenset(map(ItemStatus, asked.status.split(",")))
        channel = None if asked.channel is UNSET else asked.channel
        rows = Filter(tenant_or_all(request), asked.q, channel, statuses, parse_quantity(asked.low))
        after = None if asked.cursor is UNSET else from_cursor(asked.cursor, asked.order)
        partitions = self._named(request) if self.forwarding.is_forwarded(request) else None
        return _Wanted(rows, asked.order, after, asked.limit, asked.partial, partitions)

    def _named(self, request: web.Request) -> tuple[int, ...]:
        """Return the partitions that another worker wants."""
        try:
            numbers = {int(number) for number in request.headers.get(PARTITIONS, "").split(",")}
        except ValueError:
            numbers = set()
        if not numbers or not numbers <= set(range(self.inspection.partitions)):
            raise ApiError(400, "BAD_REQUEST", f"a request that was passed on has the header {PARTITIONS}: 0,1,2")
        return tuple(sorted(numbers))

    async def _all(self, request: web.Request, wanted: _Wanted) -> list[_Part]:
        """Ask every worker, this one included, for what it has."""
        plan = {url: numbers for url, numbers in self.inspection.workers().items() if numbers}
        unknown = set(range(self.inspection.partitions)) - {number for each in plan.values() for number in each}
        if unknown and not wanted.partial:
            raise _incomplete(sorted(unknown), "no worker is known to have them")
        asked = [
            self._own(wanted, numbers)
            if url == self.inspection.own_url
            else self._others(request, wanted, url, numbers)
            for url, numbers in plan.items()
        ]
        parts = [_Part((), None, tuple(unknown))]
        for answer, numbers in zip(await asyncio.gather(*asked, return_exceptions=True), plan.values(), strict=True):
            if isinstance(answer, _Part):
                parts.append(answer)
            elif not isinstance(answer, ApiError) or answer.status != 503:
                raise answer
            elif wanted.partial:
                parts.append(_Part((), None, numbers))
            else:
                raise _incomplete(numbers, answer.message) from answer
        return parts

    async def _own(self, wanted: _Wanted, numbers: Sequence[int]) -> _Part:
        """Read partitions of this worker. `ApiError` 503: not all can be read, and `partial` was not asked for."""
        readable = [number for number in numbers if self._is_readable(number)]
        missing = tuple(sorted(set(numbers) - set(readable)))
        if missing and not wanted.partial:
            raise _incomplete(missing, "they are moving or being restored")
        try:
            if wanted.order == "key":
                assert not isinstance(wanted.after, AttentionPosition)
                found = await self.scan.by_key(readable, wanted.rows, wanted.after, wanted.limit)
            else:
                found = await self._attention.found(tuple(readable), wanted.rows, wanted.after, wanted.limit)
        except (Moving, NotHere):
            raise _incomplete(readable, "they have begun to move while they were read") from None
        except StateUnusable as failure:
            raise ApiError(503, "STATE_UNUSABLE", failure.message) from failure
        rows = [
            (row.by_key if wanted.order == "key" else row.by_attention, shown(row, self.scan.policy))
            for row in found.rows
        ]
        return _Part(rows, found.after, missing)

    def _is_readable(self, number: int) -> bool:
        try:
            self.inspection.partition(number)
        except (Moving, NotHere):
            return False
        return True

    async def _others(self, request: web.Request, wanted: _Wanted, url: str, numbers: Sequence[int]) -> _Part:
        """Ask another worker. `ApiError`: its own, or 503."""
        seconds = _FORWARD_SECONDS + (_KEY_SECONDS if wanted.order == "key" else WAIT_SECONDS)
        headers = {PARTITIONS: ",".join(map(str, numbers))}
        answer = await self.forwarding.ask(request, url, seconds=seconds, headers=headers)
        if answer.status != 200:
            raise ApiError(answer.status, "NOT_COMPLETE", f"the worker at {url} answers {answer.status}")
        page = _page.decode(answer.body)
        rows = [(_position(row, wanted.order), row) for row in page.items]
        after = None if page.next_cursor is None else from_cursor(page.next_cursor, wanted.order)
        return _Part(rows, after, tuple(page.missing_partitions))


def _position(row: ItemRow, order: str) -> Position:
    key = item_key(row.tenant_id, row.item_id)
    if order == "key":
        return KeyPosition(key, row.channel)
    return AttentionPosition(RANKS[row.status], hundredths(row.available), key, row.channel)


def _merged(parts: Sequence[_Part], limit: int) -> tuple[list[ItemRow], Position | None]:
    """Return the first rows of all, and after what the rest comes; None: there is no rest.

    A part that ended early has said nothing of what comes after its end, so neither may the whole.
    """
    bound = min((part.after for part in parts if part.after is not None), default=None)
    merged = list(heapq.merge(*(part.rows for part in parts), key=lambda each: each[0]))
    rows = [each for each in merged if bound is None or each[0] <= bound][:limit]
    after = rows[-1][0] if len(rows) == limit < len(merged) else bound
    return [row for _, row in rows], after


def _incomplete(numbers: Sequence[int], why: str) -> ApiError:
    return ApiError(
        503,
        "NOT_COMPLETE",
        f"partitions {', '.join(map(str, numbers))} cannot be read: {why}; partial=true lists the others",
        details={"missingPartitions": list(numbers)},
    )
