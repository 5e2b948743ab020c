"""What one worker tells of its own partitions and of itself: the stream that the cluster's is merged from.

A watcher gets what has changed every fifth of a second, an item once however often it changed, as it is at that moment.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from atp_stream.contracts.keys import item_key
from atp_stream.contracts.state_codec import decode_item
from atp_stream.domain.policy import Policy
from atp_stream.domain.quantity import parse_quantity
from atp_stream.streaming.errors import StateUnusable
from atp_stream.streaming.inspection import Inspection, Moving, NotHere
from atp_stream.streaming.partitioner import partition_of
from atp_stream.web.live import Live, Wanted, gather
from atp_stream.web.models import ItemRow, Model, WorkerInfo, quantity
from atp_stream.web.parameters import ItemsAsked
from atp_stream.web.rows import Filter
from atp_stream.web.shown import shown
from atp_stream.web.stream_messages import (
    CoursesTold,
    CourseTold,
    EventsTold,
    Message,
    ResetTold,
    RowsTold,
    event_told,
)

TICK_SECONDS: Final = 0.2
#: How often a worker says how it is; so it is heard also while nothing happens.
_STATUS_SECONDS: Final = 1.0
#: Items of one message: reading them takes the event loop a few milliseconds.
_MOST_ITEMS: Final = 200
_MOST_EVENTS: Final = 200
_RECENT_EVENTS: Final = 100
#: Courses of one message, likewise.
_COURSES_AT_ONCE: Final = 100
#: A new watcher is told again what changed so lately: it reads the list at about the time at which it begins to watch.
_OVERLAP_SECONDS: Final = 5.0
#: The threshold of the status `low`, as in a list that asks for none.
_LOW: Final = parse_quantity(ItemsAsked().low)


@dataclass(frozen=True)
class Watching:
    """Makes the streams of this worker. about: what it says of itself, given its partitions."""

    live: Live
    inspection: Inspection
    policy: Policy
    about: Callable[[Sequence[int]], WorkerInfo]

    async def watch(self, wanted: Wanted, known: Mapping[str, int] | None) -> AsyncGenerator[Message, None]:
        """Yield messages without end, beginning with one that says how the worker is.

        known: where a watcher has got to, by run; None: it begins, and gets recent events and courses as well. What
        this run of the worker has committed since then is told, or, if that is not known any more, a `reset`.
        """
        position, is_missed = self._start(known)
        yield self._status(position)
        if is_missed:
            yield self._message("reset", ResetTold("lost"), position)
        if known is None:
            async for message in self._before(wanted, position):
                yield message
        told = time.monotonic()
        while True:
            gathered = gather(self.live, position, wanted, _MOST_ITEMS)
            if gathered is None:
                position = self.live.position
                yield self._message("reset", ResetTold("behind"), position)
            elif self._may_tell():  # else what has changed waits until it is known whose it is
                position = gathered.position
                rows = self._rows(gathered.items, wanted)
                if rows:
                    waiting = self.live.position - position
                    yield self._message("rows", RowsTold(rows, waiting), position)
                if gathered.events:
                    newest = [event_told(event) for event in gathered.events[-_MOST_EVENTS:]]
                    skipped = len(gathered.events) - len(newest)
                    yield self._message("events", EventsTold(newest, skipped), position)
            if time.monotonic() - told >= _STATUS_SECONDS:
                told = time.monotonic()
                yield self._status(position)
            await asyncio.sleep(TICK_SECONDS)

    def _start(self, known: Mapping[str, int] | None) -> tuple[int, bool]:
        """Return where to begin, and whether something was missed before."""
        live = self.live
        if known is None:
            return live.ago(_OVERLAP_SECONDS), False
        # A run that the watcher does not know yet is new to the group: all that it has done is news.
        position = known.get(live.run, 0)
        return (position, False) if live.reaches(position) else (live.position, True)

    async def _before(self, wanted: Wanted, position: int) -> AsyncGenerator[Message, None]:
        """Yield what a new watcher is told of the time before: much, so others get the event loop in between."""
        events = [event_told(event) for event in self.live.events(wanted, _RECENT_EVENTS)]
        yield self._message("events", EventsTold(events), position)
        keys = self.live.courses(wanted)
        for at in range(0, len(keys), _COURSES_AT_ONCE):
            courses = [
                CourseTold(*key, [quantity(value) for value in values])
                for key in keys[at : at + _COURSES_AT_ONCE]
                if self._is_here(item_key(key[0], key[1])) and len(values := self.live.course(key)) > 1
            ]
            if courses:
                yield self._message("courses", CoursesTold(courses), position)
            await asyncio.sleep(0)

    def _may_tell(self) -> bool:
        try:
            self.inspection.held()
        except Moving:
            return False
        return True

    def _is_here(self, key: bytes) -> bool:
        """Whether the item is this worker's; the course of one that has moved away is over."""
        try:
            self.inspection.partition(partition_of(key, self.inspection.partitions))
        except (Moving, NotHere):
            return False
        return True

    def _rows(self, items: Mapping[bytes, object], wanted: Wanted) -> list[ItemRow]:
        """Return the rows of items as they are now; those that have moved away are another worker's to tell."""
        every = Filter(None, "", wanted.channel, frozenset(), _LOW)
        found: list[ItemRow] = []
        for key in items:
            try:
                data = self.inspection.partition(partition_of(key, self.inspection.partitions)).get(key)
            except (Moving, NotHere, StateUnusable):
                continue
            if data is not None:
                found += [shown(row, self.policy) for row in every.rows(key, decode_item(data), self.policy)]
        return found

    def _status(self, position: int) -> Message:
        held = self.inspection.workers().get(self.inspection.own_url, ())
        return self._message("worker", self.about(held), position)

    def _message(self, event: str, told: Model, position: int) -> Message:
        return Message.of(event, told, self.live.run, position)
