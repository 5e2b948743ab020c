"""Reading the items of this worker's partitions in slices that leave the event loop to others in between.

An item's key is `tenant/item`; the entries of its reservations, `tenant/item/reservation`, lie among the items. A few
of those are stepped over, many are passed by seeking.
"""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from atp_stream.contracts.keys import item_key
from atp_stream.contracts.state_codec import decode_item
from atp_stream.domain.policy import Policy
from atp_stream.streaming.inspection import Inspection
from atp_stream.streaming.partition_state import PartitionState
from atp_stream.web.rows import AttentionPosition, Filter, KeyPosition, Row

SLICE_SECONDS: Final = 0.002
#: A list in the order of keys that has found too little after so long is answered with what was found.
MOST_SECONDS: Final = 1.0
_STEPS: Final = 8
_ALL: Final = 1 << 30
#: So many rows are kept beyond those wanted before the best of them are chosen.
_KEPT: Final = 4_000


class Span:
    """The items that a filter's tenant and prefix leave, among the keys of a partition."""

    def __init__(self, tenant: str | None, prefix: str) -> None:
        self._within = None if tenant is None else item_key(tenant, prefix)
        self._prefix = item_key("", prefix)  # with the slash before it
        self.first = self._within or b""

    def look(self, key: bytes) -> bytes | None:
        """Return the key itself if it is a wanted item's, else the first that might be, beyond it; None: no more is."""
        if self._within is not None and not key.startswith(self._within):
            return None
        tenant, _, rest = key.partition(b"/")
        wanted = tenant + self._prefix
        if not key.startswith(wanted):
            return wanted if key < wanted else tenant + b"0"  # what follows the slash
        item, slash, _ = rest.partition(b"/")
        return tenant + b"/" + item + b"0" if slash else key


@dataclass(slots=True)
class Reader:
    """Reads one partition on from a key. `found`: rows not taken yet, all of items before `position`."""

    number: int
    position: bytes
    found: deque[Row] = field(default_factory=deque)
    is_finished: bool = False

    def read(
        self, state: PartitionState, span: Span, wanted: Filter, policy: Policy, enough: int, until: float
    ) -> None:
        """Read until `enough` rows are found or it is `until` (by time.perf_counter), at least one entry."""
        while not self.is_finished:
            if self._read(state, span, wanted, policy, enough, until):
                return

    def _read(
        self, state: PartitionState, span: Span, wanted: Filter, policy: Policy, enough: int, until: float
    ) -> bool:
        """Read by one iterator. False: another has to go on, from a key farther on."""
        steps = 0
        for key, value in state.items_from(self.position):
            target = span.look(key)
            if target is None:
                break
            if target == key:
                steps = 0
                self.found.extend(wanted.rows(key, decode_item(value), policy))
                self.position = key + b"\0"
            else:
                steps += 1
                self.position = target
                if steps > _STEPS:
                    return time.perf_counter() > until
            if len(self.found) >= enough or time.perf_counter() > until:
                return True
        self.is_finished = True
        return True


@dataclass
class Slices:
    """Lets others have the event loop: half of its time at least."""

    seconds: float = SLICE_SECONDS
    _until: float = 0.0

    def begin(self) -> float:
        """Return when the slice ends that now begins, or is under way."""
        if not self._until:
            self._until = time.perf_counter() + self.seconds
        return self._until

    async def give_way(self) -> None:
        """Wait if the slice is over."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(self.seconds)
            self._until = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """Rows in order. after: all rows up to there are among them, or were not wanted; None: all rows there are."""

    rows: Sequence[Row]
    after: KeyPosition | AttentionPosition | None


@dataclass
class Scan:
    """Reads partitions of this worker. Whatever it does raises `Moving` or `NotHere` once one cannot be told of."""

    inspection: Inspection
    policy: Policy
    most_seconds: float = MOST_SECONDS

    async def by_key(self, numbers: Sequence[int], wanted: Filter, after: KeyPosition | None, limit: int) -> Found:
        """Return the first rows after a position, in the order of keys; costs no more the more items there are."""
        span = Span(wanted.tenant, wanted.prefix)
        start = span.first if after is None else max(span.first, after.key)
        readers = {number: Reader(number, start) for number in numbers}
        hungry, waiting = list(readers), list[tuple[KeyPosition, int]]()
        rows: list[Row] = []
        enough = max(4, 2 * limit // max(1, len(numbers)))
        slices, until = Slices(), time.perf_counter() + self.most_seconds
        unread = set(numbers)
        while len(rows) < limit and (hungry or waiting):
            while hungry:
                reader = readers[hungry[-1]]
                state = self.inspection.partition(reader.number)
                reader.read(state, span, wanted, self.policy, enough, slices.begin())
                unread.discard(reader.number)
                while after is not None and reader.found and reader.found[0].by_key <= after:
                    reader.found.popleft()
                if reader.found:
                    heapq.heappush(waiting, (reader.found[0].by_key, hungry.pop()))
                elif reader.is_finished:
                    hungry.pop()
                elif not unread and time.perf_counter() > until:
                    await slices.give_way()
                    break
                else:
                    hungry.insert(0, hungry.pop())  # all get on, however early this has to end: so does who asks
                await slices.give_way()
            # Every row below this has been found, whatever those that are hungry still find.
            bound = min((KeyPosition(readers[number].position, "") for number in hungry), default=None)
            if not waiting or (bound is not None and waiting[0][0] > bound):
                if bound is None:
                    break
                return self._checked(numbers, Found(rows, bound if after is None else max(bound, after)))
            _, number = heapq.heappop(waiting)
            reader = readers[number]
            rows.append(reader.found.popleft())
            if reader.found:
                heapq.heappush(waiting, (reader.found[0].by_key, number))
            elif not reader.is_finished:
                hungry.append(number)
        more = rows and (hungry or waiting)
        return self._checked(numbers, Found(rows, rows[-1].by_key if more else None))

    async def by_attention(
        self, numbers: Sequence[int], wanted: Filter, after: AttentionPosition | None, limit: int
    ) -> Found:
        """Return the first rows after a position, in the order of urgency; reads every item."""
        span, slices = Span(wanted.tenant, wanted.prefix), Slices()
        best: list[tuple[AttentionPosition, Row]] = []
        total = 0
        for number in numbers:
            reader = Reader(number, span.first)
            while not reader.is_finished:
                state = self.inspection.partition(number)
                reader.read(state, span, wanted, self.policy, _ALL, slices.begin())
                later = [(row.by_attention, row) for row in reader.found]
                later = [each for each in later if after is None or each[0] > after]
                reader.found.clear()
                total += len(later)
                best += later
                if len(best) > limit + _KEPT:
                    best = _first(limit, best)
                await slices.give_way()
        best = _first(limit, best)
        return self._checked(numbers, Found([row for _, row in best], best[-1][0] if total > limit else None))

    def _checked(self, numbers: Sequence[int], found: Found) -> Found:
        for number in numbers:
            self.inspection.partition(number)
        return found


def _first(limit: int, rows: list[tuple[AttentionPosition, Row]]) -> list[tuple[AttentionPosition, Row]]:
    return heapq.nsmallest(limit, rows, key=lambda each: each[0])
