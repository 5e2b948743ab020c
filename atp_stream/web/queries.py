"""The questions about one item: what a channel may promise, all pools, one reservation.

Answered by the worker that has the item, whichever was asked. What is read is of one moment: nothing is awaited between
the look at who may tell and the bytes.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from msgspec import UNSET, UnsetType

from atp_stream.contracts.keys import item_key, reservation_key
from atp_stream.contracts.state_codec import decode_item, decode_reservation
from atp_stream.domain.policy import Policy
from atp_stream.domain.pools import available
from atp_stream.domain.state import ItemState
from atp_stream.streaming.committed import Committed
from atp_stream.streaming.errors import StateUnusable
from atp_stream.streaming.inspection import Inspection, Moving, NotHere
from atp_stream.streaming.partition_state import PartitionState
from atp_stream.streaming.partitioner import partition_of
from atp_stream.web.auth import tenant_of
from atp_stream.web.errors import ApiError
from atp_stream.web.forwarding import SECONDS, WORKER, Forwarding, unreachable
from atp_stream.web.models import Availability, Model, Pools, Reservation, encode, quantity
from atp_stream.web.parameters import AvailabilityAsked, PoolsAsked, ReservationAsked, parse
from atp_stream.web.shown import pools_of

MOST_WAIT_SECONDS: Final = 5.0
#: How often a wait for a position looks whether the partition is still here, if nothing else wakes it.
_LOOK_SECONDS: Final = 0.25


@dataclass
class Commits:
    """Wakes those that wait for a transaction of this worker."""

    _next: asyncio.Event = field(default_factory=asyncio.Event)

    def observe(self, _: Committed) -> None:
        """Be told of a transaction."""
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def next(self, seconds: float) -> None:
        """Wait for the next one, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._next.wait()
        except TimeoutError:
            pass


Answer = Callable[[PartitionState, ItemState | None], Model]
"""Makes the answer from what was read at one moment; raises `ApiError` 404."""


@dataclass
class Queries:
    """The handlers. `commits` is to be told of this worker's transactions."""

    inspection: Inspection
    policy: Policy
    forwarding: Forwarding
    commits: Commits = field(default_factory=Commits)

    async def availability(self, request: web.Request) -> web.Response:
        """`GET /api/v1/inventory/atp/availability`."""
        asked = parse(request, AvailabilityAsked)
        channel, promise_date = asked.channel, None if asked.promise_date is UNSET else asked.promise_date

        def answer(_: PartitionState, item: ItemState | None) -> Availability:
            item = _known(item, asked.item_id)
            if channel not in item.emitted and channel not in self.policy.channels:
                raise ApiError(404, "CHANNEL_UNKNOWN", "neither the item's events nor the settings name this channel")
            promised, reserved = available(item, self.policy, channel), item.reserved.get(channel, 0)
            return Availability(asked.item_id, channel, quantity(promised), quantity(reserved), promise_date)

        return await self._answered(request, asked.item_id, asked.min_position, answer)

    async def pools(self, request: web.Request) -> web.Response:
        """`GET /api/v1/inventory/atp/pools/{itemId}`."""
        asked, tenant = parse(request, PoolsAsked), tenant_of(request)

        def answer(_: PartitionState, item: ItemState | None) -> Pools:
            return pools_of(tenant, asked.item_id, _known(item, asked.item_id), self.policy)

        return await self._answered(request, asked.item_id, asked.min_position, answer)

    async def reservation(self, request: web.Request) -> web.Response:
        """`GET /api/v1/inventory/atp/reservations/{reservationId}?itemId=`."""
        asked = parse(request, ReservationAsked)
        key = reservation_key(item_key(tenant_of(request), asked.item_id), asked.reservation_id)

        def answer(state: PartitionState, item: ItemState | None) -> Reservation:
            data = state.get(key)
            if data is None:
                _known(item, asked.item_id)
                raise ApiError(404, "RESERVATION_UNKNOWN", "no event has named this reservation of the item")
            held = decode_reservation(data)
            left = quantity(held.quantity)
            names = (asked.item_id, asked.reservation_id, held.status, held.channel)
            return Reservation(*names, left, held.allocation_id, held.releases)

        return await self._answered(request, asked.item_id, asked.min_position, answer)

    async def _answered(
        self, request: web.Request, item_id: str, min_position: int | UnsetType, answer: Answer
    ) -> web.Response:
        """Answer here if this worker has the item, else pass the request on to the one that has."""
        key = item_key(tenant_of(request), item_id)
        number = partition_of(key, self.inspection.partitions)
        forwarded = self.forwarding.is_forwarded(request)
        elsewhere = self._elsewhere(key, number)
        if elsewhere is not None:
            if forwarded:
                raise moving(self.inspection, "it was passed on to this worker, which does not have it (any more)")
            wait = 0.0 if min_position is UNSET else MOST_WAIT_SECONDS
            return await self.forwarding.pass_on(request, elsewhere, SECONDS + wait)
        if min_position is not UNSET:
            await self._reached(key, number, min_position)
        state, item = self._read(key, number)
        headers = self._headers(number, item)
        try:
            body = encode(answer(state, item))
        except ApiError as refused:
            refused.headers.update(headers)
            raise
        except StateUnusable as failure:
            raise unusable(self.inspection, failure) from failure
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _elsewhere(self, key: bytes, number: int) -> str | None:
        """Return the address of the worker that has the partition; None: this one has it. `ApiError` 503: none has."""
        try:
            self.inspection.partition(number)
            return None
        except (Moving, NotHere) as why:
            url = self.inspection.place(key).url
            if url is None:
                raise moving(self.inspection, "no worker is known to have it") from None
            if url == self.inspection.own_url:
                if isinstance(why, NotHere):
                    raise unreachable(url, "the group has it here, and it is not") from None
                raise moving(self.inspection, str(why)) from None
            return url

    def _read(self, key: bytes, number: int) -> tuple[PartitionState, ItemState | None]:
        try:
            state = self.inspection.partition(number)
            data = state.get(key)
        except (Moving, NotHere) as why:
            raise moving(self.inspection, str(why) or "it has just moved") from None
        except StateUnusable as failure:
            raise unusable(self.inspection, failure) from failure
        return state, None if data is None else decode_item(data)

    async def _reached(self, key: bytes, number: int, position: int) -> None:
        """Wait until the item has its event of this number. `ApiError` 503: not in time."""
        until = time.monotonic() + MOST_WAIT_SECONDS
        while True:
            _, item = self._read(key, number)
            sequence = 0 if item is None else item.sequence
            if sequence >= position:
                return
            left = until - time.monotonic()
            if left <= 0:
                raise ApiError(
                    503,
                    "NOT_YET",
                    f"the item is at its event {sequence} still, not {position}",
                    details={"position": sequence, "minPosition": position},
                    headers=self._headers(number, item),
                )
            await self.commits.next(min(left, _LOOK_SECONDS))

    def _headers(self, number: int, item: ItemState | None) -> dict[str, str]:
        headers = {WORKER: self.inspection.own_url, "Atp-Position": str(0 if item is None else item.sequence)}
        as_of = self.inspection.as_of(number)
        if as_of is None and item is not None and item.changed is not None:
            as_of = item.changed.timestamp  # the partition was taken over, and nothing has come since
        if as_of is not None:
            headers["Atp-As-Of"] = str(as_of)
            headers["Atp-Age"] = f"{max(0.0, time.time() - as_of / 1000):.3f}"
        return headers


def moving(inspection: Inspection, why: str) -> ApiError:
    """Return the 503 for state that nobody can tell of at the moment."""
    return ApiError(
        503, "MOVING", f"the item's partition is moving or being restored: {why}", headers={WORKER: inspection.own_url}
    )


def unusable(inspection: Inspection, failure: StateUnusable) -> ApiError:
    """Return the 503 for state that the disk does not give: the worker will end over it, and another take its place."""
    return ApiError(503, "STATE_UNUSABLE", failure.args[0], headers={WORKER: inspection.own_url})


def _known(item: ItemState | None, item_id: str) -> ItemState:
    if item is None:
        raise ApiError(404, "ITEM_UNKNOWN", f"no event has named the item {item_id!a}", details={"itemId": item_id})
    return item
