"""What this worker has committed lately, for those who watch: a ring of changes, and the recent course of availability.

A watcher holds a position in the ring and nothing else, so that one who is slow costs no memory: when the ring has
moved past its position, it has to look anew.
"""

import secrets
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from atp_stream.contracts.keys import item_key
from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import AvailabilityCalculated, OutputEvent
from atp_stream.domain.quantity import Quantity
from atp_stream.stages.notes import Decided
from atp_stream.streaming.committed import Committed

MOST_CHANGES: Final = 10_000
#: Courses kept, of items in channels; the one changed longest ago gives way.
MOST_COURSES: Final = 20_000
#: Values of one course.
MOST_POINTS: Final = 24
_MARKS: Final = 10
_MARK_SECONDS: Final = 1.0
_WITHOUT_CHANGE: Final = frozenset({Outcome.STALE, Outcome.DUPLICATE, Outcome.OUT_OF_RANGE})


class Change(NamedTuple):
    """An input that changed an item, and what went out for it other than availability."""

    tenant_id: str
    item_id: str
    events: tuple[OutputEvent, ...]


CourseKey: TypeAlias = tuple[str, str, str]
"""Tenant, item and channel."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody watches. tenant None: all; prefix: of the item's id; channel None: all."""

    tenant: str | None = None
    prefix: str = ""
    channel: str | None = None

    def item(self, tenant_id: str, item_id: str) -> bool:
        """Whether the item is among it."""
        return (self.tenant is None or tenant_id == self.tenant) and item_id.startswith(self.prefix)

    def in_channel(self, channel: str) -> bool:
        """Whether the channel is."""
        return self.channel is None or channel == self.channel


class Live:
    """To be told of this worker's transactions (`Engine.observers`); asked on the same event loop.

    run: a name for this run of the worker; positions in the ring are of one run.
    """

    def __init__(self, most: int = MOST_CHANGES) -> None:
        self.run: Final = secrets.token_hex(4)
        self._ring: deque[Change] = deque(maxlen=most)
        self._courses: dict[CourseKey, array[int]] = {}
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        #: The number of the next change.
        self.position = 0

    def observe(self, committed: Committed) -> None:
        """Take in what a transaction has changed."""
        now = time.monotonic()
        if not self._marks or now - self._marks[-1][0] > _MARK_SECONDS:
            self._marks.append((now, self.position))
        last: dict[CourseKey, Quantity] = {}
        for note in committed.notes:
            if not isinstance(note, Decided) or note.outcome in _WITHOUT_CHANGE:
                continue
            event = note.event
            shown = []
            for output in note.outputs:
                fact = output.fact
                if isinstance(fact, AvailabilityCalculated):
                    last[event.tenant_id, event.item_id, fact.channel] = fact.available
                else:
                    shown.append(output)
            self._ring.append(Change(event.tenant_id, event.item_id, tuple(shown)))
            self.position += 1
        for key, available in last.items():
            self._extend(key, available)

    def _extend(self, key: CourseKey, available: Quantity) -> None:
        course = self._courses.pop(key, None)
        if course is None:
            course = array("q")
        elif len(course) == MOST_POINTS:
            course.pop(0)
        course.append(available)
        self._courses[key] = course
        if len(self._courses) > MOST_COURSES:
            del self._courses[next(iter(self._courses))]

    def ago(self, seconds: float) -> int:
        """Return the position of so many seconds ago, or an earlier one, as far back as the ring reaches."""
        until, found = time.monotonic() - seconds, self.position
        for when, position in reversed(self._marks):
            found = position
            if when <= until:
                break
        return max(found, self.position - len(self._ring))

    def reaches(self, position: int) -> bool:
        """Whether every change from that one on is still here."""
        return self.position - len(self._ring) <= position <= self.position

    def since(self, position: int) -> Iterator[Change]:
        """Yield the changes from that one on; to be used at once. The ring must reach it."""
        return islice(self._ring, position - (self.position - len(self._ring)), None)

    def events(self, wanted: Wanted, most: int) -> list[OutputEvent]:
        """Return the last events that are wanted, oldest first."""
        found: list[OutputEvent] = []
        for change in reversed(self._ring):
            if len(found) >= most:
                break
            if change.events and wanted.item(change.tenant_id, change.item_id):
                found += [each for each in reversed(change.events) if wanted.in_channel(each.fact.channel)]
        return found[:most][::-1]

    def courses(self, wanted: Wanted) -> list[CourseKey]:
        """Return whose courses are wanted."""
        return [key for key in self._courses if wanted.item(key[0], key[1]) and wanted.in_channel(key[2])]

    def course(self, key: CourseKey) -> Sequence[Quantity]:
        """Return the last values of what a channel may promise, oldest first; empty: none are kept (any more)."""
        return self._courses.get(key, ())


class Gathered(NamedTuple):
    """What a watcher gets next: the items changed, by key, the events, and where it goes on."""

    items: dict[bytes, tuple[str, str]]
    events: list[OutputEvent]
    position: int


def gather(live: Live, position: int, wanted: Wanted, most_items: int) -> Gathered | None:
    """Return what has changed from `position` on, up to so many items; None: the ring no longer reaches it."""
    if not live.reaches(position):
        return None
    items: dict[bytes, tuple[str, str]] = {}
    events: list[OutputEvent] = []
    for change in live.since(position):
        if wanted.item(change.tenant_id, change.item_id):
            key = item_key(change.tenant_id, change.item_id)
            if key not in items:
                if len(items) == most_items:
                    break
                items[key] = change.tenant_id, change.item_id
            events += [each for each in change.events if wanted.in_channel(each.fact.channel)]
        position += 1
    return Gathered(items, events, position)
