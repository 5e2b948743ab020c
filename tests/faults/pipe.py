"""One direction of a connection, cut into frames: each passes, or is for a rule. In the proxy's thread alone."""

import asyncio
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .door import Outlet
from .wire import Frame

if TYPE_CHECKING:
    from .connection import Connection

_REQUEST_HEADER, _ANSWER_HEADER = struct.Struct(">ihhi"), struct.Struct(">ii")


class Pipe:
    """One direction. Bytes that no rule is for pass as they come; frames that one is for are waited for whole."""

    def __init__(self, connection: "Connection", response: bool) -> None:
        self.connection, self.response = connection, response
        self.source: asyncio.Transport | None = None
        self.outlet = Outlet(connection.door, self.regulate)
        self.lost_bytes = False
        self._door = connection.door
        self._header = _ANSWER_HEADER if response else _REQUEST_HEADER
        self._partial = b""
        self._left = 0  # bytes to come of the frame that is passing, or being swallowed
        self._swallowing = False
        self._blocked_by: HeldFrame | None = None
        self._due_between: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._partial:
            data, self._partial = self._partial + data, b""
        start = at = 0  # what lies between them passes
        while at < len(data) and self._blocked_by is None:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                if self._swallowing:
                    start = at
                continue
            if self._due_between:
                self.outlet.send(data[start:at])
                start = at
                self._send_between()
            if len(data) - at < self._header.size:
                break
            length, key, version, correlation = self._read_header(data, at)
            rule = self._door.rule(key, self.response)
            self._swallowing = self._door.black_hole[self.response]
            swallowed = self.response and self.connection.is_second_answer(correlation)
            if (rule is None or self._swallowing) and not swallowed:
                self._left = 4 + length
                self._known(key, version, correlation)
                if self._swallowing:
                    self.lost_bytes = True
                    self.outlet.send(data[start:at])
                    start = at
                continue
            if len(data) - at < 4 + length:
                break
            self.outlet.send(data[start:at])
            start = at = at + 4 + length
            self._known(key, version, correlation)
            if not swallowed and rule is not None:
                body = data[at - length : at]
                rule.take(Frame(key, version, correlation, self.response, body), self)
        self.outlet.send(data[start:at])
        self._partial = data[at:]
        if not self._left:
            self._send_between()
        self.regulate()

    def _read_header(self, data: bytes, at: int) -> tuple[int, int, int, int]:
        if self.response:
            length, correlation = self._header.unpack_from(data, at)
            key, version = self.connection.requests.get(correlation, (-1, -1))
        else:
            length, key, version, correlation = self._header.unpack_from(data, at)
        return length, key, version, correlation

    def _known(self, key: int, version: int, correlation: int) -> None:
        """Note a request that goes out, or that its answer has come."""
        if self.response:
            self.connection.answered(correlation)
        else:
            self.connection.requests[correlation] = (key, version)

    def forward(self, frame: Frame, body: bytes | None = None) -> None:
        """Send the frame on, with another body if one is given."""
        data = frame.bytes if body is None else struct.pack(">i", len(body)) + body
        self._due_between.append(data)
        if not self._left:
            self._send_between()

    def forward_twice(self, frame: Frame) -> None:
        """Send a request twice; the second answer is swallowed."""
        self.connection.doubled[frame.correlation] = 2
        self.forward(frame)
        self.forward(frame)

    def hold(self, frame: Frame, *, rest_passes: bool) -> "HeldFrame":
        """Keep the frame; what comes after it waits too, unless the rest passes."""
        held = HeldFrame(self, frame)
        self.connection.held.add(held)
        if not rest_passes:
            self._blocked_by = held
        return held

    def let_go(self, held: "HeldFrame") -> None:
        """Send on a frame that was held, and what waited behind it."""
        if held not in self.connection.held:
            return
        self.connection.held.discard(held)
        if not self.response and self.connection.client is None:
            self.connection.awaited.add(held.frame.correlation)
        self.forward(held.frame)
        if self._blocked_by is held:
            self._blocked_by = None
            self.feed(b"")

    def cut(self) -> None:
        """Reset the connection on both sides."""
        self.connection.cut()

    def cut_client(self) -> None:
        """Reset the client's side; the broker's stays open for what is held."""
        self.connection.cut_client()

    def _send_between(self) -> None:
        due, self._due_between = self._due_between, []
        for data in due:
            self.outlet.send(data)

    def regulate(self) -> None:
        """Read on, or do not, by whether what was read can go somewhere."""
        if self.source is None or self.source.is_closing():
            return
        if self._blocked_by is not None or self.outlet.is_full:
            self.source.pause_reading()
        else:
            self.source.resume_reading()


@dataclass(frozen=True, eq=False)
class HeldFrame:
    """A frame of the pipe that waits to be released."""

    pipe: Pipe
    frame: Frame

    def release(self) -> None:
        """Send it on."""
        self.pipe.let_go(self)
