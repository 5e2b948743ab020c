"""What the demo shows: availability by item and channel, what came out last, and how much. No I/O, no clock."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Final

from atp_stream.tools.event_line import WORDS
from atp_stream.tools.received import DEAD_LETTER, Received

_AVAILABILITY: Final = "AvailabilityCalculatedEvent"
_WINDOW_MS: Final = 5_000
_STAYS_MS: Final = 3_000
"""How long an item stays in view after its last change, so that it can be read."""
_MOST_CANDIDATES: Final = 200
_MOST_CAUSES: Final = 50
_STOCK: Final = "stock changed"
_ELSEWHERE: Final = "other channel"
"""Shared stock was taken or given back by another channel."""


@dataclass(slots=True)
class Row:
    """One item in one channel. last: what its last change came from; changed: epoch ms."""

    available: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    sequence: int = 0
    last: str = ""
    cause: str = ""
    changed: int = 0


@dataclass(slots=True)
class ItemView:
    """An item with its channels; changed: epoch ms of the last change of any of them."""

    name: str
    rows: dict[str, Row] = field(default_factory=dict)
    changed: int = 0
    _decided: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Channel and word of the last events about allocations, by cause: they come by other topics than availability,
    so that either may arrive first."""

    def take(self, received: Received, now: int) -> None:
        """Take in one event of this item."""
        channel, cause = received.fields["channel"], received.headers.get("causation-id", "")
        row = self.rows.setdefault(channel, Row())
        if received.kind == _AVAILABILITY:
            row.available, row.reserved = received.fields["available"], received.fields["reserved"]
            row.cause, row.last = cause, self._why(cause, channel)
        else:
            self._decided[cause] = channel, WORDS[received.kind]
            if len(self._decided) > _MOST_CAUSES:
                del self._decided[next(iter(self._decided))]
            for name, other in self.rows.items():
                if other.cause == cause:
                    other.last = self._why(cause, name)
            if received.sequence > row.sequence:
                row.last = WORDS[received.kind]
        row.sequence = max(row.sequence, received.sequence)
        row.changed = self.changed = now

    def _why(self, cause: str, channel: str) -> str:
        decided, word = self._decided.get(cause, (channel, _STOCK))
        return word if decided == channel else _ELSEWHERE


class Rate:
    """Events per second over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque()

    def at(self, now: int, total: int) -> float:
        """Return the rate, given the total at the time `now` (epoch ms)."""
        self._samples.append((now, total))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW_MS:
            self._samples.popleft()
        then, before = self._samples[0]
        return (total - before) * 1000 / (now - then) if now > then else 0.0


class Board:
    """Takes in what comes out. Times are epoch ms; `began`: causes before it are of an earlier run and have no age."""

    def __init__(self, began: int) -> None:
        self._began: Final = began
        self.totals: Counter[str] = Counter()
        self.first: int | None = None
        self.recent: deque[Received] = deque(maxlen=200)
        self._items: dict[str, ItemView] = {}  # the last changed one last
        self._shown: list[ItemView] = []
        self._ages: deque[tuple[int, int]] = deque()

    @property
    def out(self) -> int:
        """Number of output events, dead letters not among them."""
        return self.totals.total() - self.totals[DEAD_LETTER]

    @property
    def size(self) -> tuple[int, int]:
        """Number of items, and of items in channels, that are known."""
        return len(self._items), sum(len(item.rows) for item in self._items.values())

    def take(self, received: Received, now: int) -> None:
        """Take in one event that has arrived."""
        self.totals[received.kind] += 1
        if self.first is None:
            self.first = now
        if received.kind != _AVAILABILITY:
            self.recent.append(received)
        if received.kind == DEAD_LETTER or received.unreadable is not None:
            return
        fields = received.fields
        if fields["timestamp"] >= self._began:
            self._ages.append((now, now - fields["timestamp"]))
        name = f"{fields['tenantId']}/{fields['itemId']}"
        item = self._items.pop(name, None) or ItemView(name)
        self._items[name] = item
        item.take(received, now)

    def ages(self, now: int) -> tuple[int, int] | None:
        """Return median and 99th percentile, in ms, of the time from an input's making to its output's arrival here."""
        while self._ages and self._ages[0][0] < now - _WINDOW_MS:
            self._ages.popleft()
        ages = sorted(age for _, age in self._ages)
        return (ages[len(ages) // 2], ages[len(ages) * 99 // 100]) if ages else None

    def shown(self, lines: int, now: int) -> list[ItemView]:
        """Return the last changed items that fit into so many lines, each at the place that it had, while it is there.

        An item gives its place to another one only when nothing has happened to it for a while.
        """
        free = lines - _height(self._shown)
        for item in sorted(self._shown, key=lambda item: item.changed):
            if free >= 0:
                break
            self._shown.remove(item)
            free += len(item.rows)
        there = {item.name for item in self._shown}
        for item in islice(reversed(self._items.values()), _MOST_CANDIDATES):
            if free <= 0 and all(other.changed > now - _STAYS_MS for other in self._shown):
                break
            if item.name not in there:
                free = self._place(item, free, now)
        return self._shown

    def _place(self, item: ItemView, free: int, now: int) -> int:
        """Show an item if there is room, or can be made by taking out what has been quiet; return the lines left."""
        index = len(self._shown)
        quiet = [other for other in self._shown if other.changed <= min(now - _STAYS_MS, item.changed)]
        needed = len(item.rows) - free
        leaving = []
        for other in sorted(quiet, key=lambda other: other.changed):
            if needed <= 0:
                break
            leaving.append(other)
            needed -= len(other.rows)
        if needed > 0:
            return free
        for other in leaving:
            index = min(index, self._shown.index(other))
            self._shown.remove(other)
        self._shown.insert(index, item)
        return free + _height(leaving) - len(item.rows)


def _height(items: Iterable[ItemView]) -> int:
    return sum(len(item.rows) for item in items)
