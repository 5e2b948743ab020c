"""What is true of the way to one broker in one lane, and how bytes leave through it. In the proxy's thread alone."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .actions import Rule

if TYPE_CHECKING:
    from .connection import Connection

_QUEUED_BYTES = 1 << 20
_SLICES_PER_SECOND = 10


@dataclass
class Door:
    """The way to one broker in one lane: what is true of all connections that go through it."""

    broker: int
    target: int
    #: By API key and whether it is the answer.
    rules: dict[tuple[int, bool], list[Rule]]
    refused: bool = False
    delay: float = 0.0
    bytes_per_second: int = 0
    #: Requests, answers: swallowed.
    black_hole: list[bool] = field(default_factory=lambda: [False, False])
    connections: set["Connection"] = field(default_factory=set)

    def rule(self, api_key: int, response: bool) -> Rule | None:
        """Return the first rule that takes such a frame."""
        rules = self.rules.get((api_key, response))
        return next((rule for rule in rules if rule.takes(self.broker)), None) if rules else None


class Outlet:
    """The end of one direction: bytes go out at once, or later and slowly if the door says so."""

    def __init__(self, door: Door, drained: Callable[[], None]) -> None:
        self.sink: asyncio.Transport | None = None
        self.sink_is_full = False
        self._door, self._drained = door, drained
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read for it."""
        return self.sink_is_full or self._queued > _QUEUED_BYTES

    def send(self, data: bytes) -> None:
        """Send the bytes, or drop them if the side they are for has gone."""
        if not data or self.sink is None:
            return
        if not self._queue and not self._door.delay and not self._door.bytes_per_second:
            self.sink.write(data)
            return
        loop = asyncio.get_running_loop()
        due = max(loop.time() + self._door.delay, self._queue[-1][0] if self._queue else 0.0)
        rate = self._door.bytes_per_second
        size = max(1, rate // _SLICES_PER_SECOND) if rate else len(data)
        for begin in range(0, len(data), size):
            piece = data[begin : begin + size]
            due += len(piece) / rate if rate else 0.0
            self._queue.append((due, piece))
        self._queued += len(data)
        if self._timer is None:
            self._timer = loop.call_at(self._queue[0][0], self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._queue and self._queue[0][0] <= loop.time():
            self._write_first()
        if self._queue:
            self._timer = loop.call_at(self._queue[0][0], self._on_time)
        self._drained()

    def flush(self) -> None:
        """Send what was slowed down at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            self._write_first()
        self._drained()

    def _write_first(self) -> None:
        _, data = self._queue.popleft()
        self._queued -= len(data)
        if self.sink is not None:
            self.sink.write(data)
