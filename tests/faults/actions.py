"""What the Kafka proxy does with the frames that a rule picks out."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .wire import CHANGEABLE, Frame, with_error, without_offsets


class Passage(Protocol):
    """One direction of one connection, as an action sees it. Used in the proxy's thread alone."""

    def forward(self, frame: Frame, body: bytes | None = None) -> None:
        """Send the frame on, with another body if one is given."""

    def forward_twice(self, frame: Frame) -> None:
        """Send a request twice; the second answer is swallowed."""

    def hold(self, frame: Frame, *, rest_passes: bool) -> "Held":
        """Keep the frame; what comes after it on this connection waits too, unless the rest passes."""

    def cut(self) -> None:
        """Reset the connection on both sides."""

    def cut_client(self) -> None:
        """Reset the client's side; the broker's stays open for as long as frames are held, and their answers due."""


class Held(Protocol):
    """A frame that is held."""

    def release(self) -> None:
        """Send it on. Used in the proxy's thread alone."""


class Action(Protocol):
    """What is done with a frame."""

    def apply(self, frame: Frame, passage: Passage) -> Held | None:
        """Do it; returns the frame if it is held."""


@dataclass(frozen=True)
class Watch:
    """The frame passes; the rule counts it, and keeps it."""

    def apply(self, frame: Frame, passage: Passage) -> None:
        """Send it on."""
        passage.forward(frame)


@dataclass(frozen=True)
class Hold:
    """The frame waits until the rule releases it.

    rest_passes: later frames of the connection go past it. cut: the client's connection is reset; a request is
    later released over the broker-side connection that is still there, as one that was long on its way (KAFKA-17754).
    When the client closes the connection by itself meanwhile, a held request goes the same way.
    """

    rest_passes: bool = False
    cut: bool = False

    def apply(self, frame: Frame, passage: Passage) -> Held:
        """Hold it."""
        held = passage.hold(frame, rest_passes=self.rest_passes)
        if self.cut:
            passage.cut_client()
        return held


@dataclass(frozen=True)
class Drop:
    """The frame is swallowed; the connection stays."""

    def apply(self, frame: Frame, passage: Passage) -> None:
        """Swallow it."""


@dataclass(frozen=True)
class DropAndCut:
    """The frame is swallowed, and the connection reset on both sides."""

    def apply(self, frame: Frame, passage: Passage) -> None:
        """Swallow it."""
        passage.cut()


@dataclass(frozen=True)
class Duplicate:
    """The request is sent twice in a row; the client sees the first answer."""

    def apply(self, frame: Frame, passage: Passage) -> None:
        """Send it twice."""
        passage.forward_twice(frame)


@dataclass(frozen=True)
class Rewrite:
    """The frame goes on with another body. It begins with the API key in a request, the correlation id in an answer."""

    function: Callable[[bytes], bytes]

    def apply(self, frame: Frame, passage: Passage) -> None:
        """Send it on changed."""
        passage.forward(frame, self.function(frame.body))


@dataclass(frozen=True)
class ErrorCode:
    """An answer with each of its error codes replaced by this one (keys: `wire.CHANGEABLE`)."""

    code: int

    def apply(self, frame: Frame, passage: Passage) -> None:
        """Send it on changed."""
        passage.forward(frame, with_error(frame, self.code))


@dataclass(frozen=True)
class NoOffsets:
    """An answer to OffsetFetch that says -1 of every partition: nothing committed."""

    def apply(self, frame: Frame, passage: Passage) -> None:
        """Send it on changed."""
        passage.forward(frame, without_offsets(frame))


class Rule:
    """An action on the frames of one kind, in a lane. `hits` counts them, `frames` are the latest of them.

    Made by `Lane.on`. Its methods may be called from any thread.
    """

    def __init__(
        self,
        api_key: int,
        action: Action,
        *,
        response: bool,
        times: int | None,
        broker: int | None,
        in_loop: Callable[[Callable[[], None]], None],
    ) -> None:
        if isinstance(action, ErrorCode) and not (response and api_key in CHANGEABLE):
            raise ValueError(f"error codes are in the answers of {sorted(CHANGEABLE)}")
        if isinstance(action, Duplicate) and response:
            raise ValueError("only requests are sent twice")
        self.api_key, self.response = api_key, response
        self.hits = 0
        self.frames: list[Frame] = []
        self._action, self._left, self._broker, self._in_loop = action, times, broker, in_loop
        self._held: list[Held] = []
        self._hit = threading.Event()
        self._failure: Exception | None = None

    def wait(self, seconds: float = 30.0) -> "Rule":
        """Return when it has picked out a frame. AssertionError: it has not in so many seconds."""
        if not self._hit.wait(seconds):
            what = "answer" if self.response else "request"
            raise AssertionError(f"{seconds:.0f} s later still no {what} of API key {self.api_key}")
        self.check()
        return self

    def check(self) -> None:
        """Raise what went wrong in the action, if anything did."""
        if self._failure is not None:
            raise self._failure

    def release(self) -> None:
        """Let go of the frames that are held, and leave those that come alone."""
        self._in_loop(self.end)

    def remove(self) -> None:
        """Leave the frames that come alone; those that are held stay so."""
        self._in_loop(self.stop)

    def takes(self, broker: int) -> bool:
        """Whether it is for frames to and from the broker. In the proxy's thread, as are the methods below."""
        return self._left != 0 and self._broker in (None, broker)

    def take(self, frame: Frame, passage: Passage) -> None:
        """Do with the frame what the rule is for."""
        self.hits += 1
        self.frames = [*self.frames[-9:], frame]
        if self._left is not None:
            self._left -= 1
        try:
            held = self._action.apply(frame, passage)
        except Exception as failure:  # found out where the test waits
            self._failure = failure
            passage.forward(frame)
        else:
            if held is not None:
                self._held.append(held)
        self._hit.set()

    def stop(self) -> None:
        """Take no more frames."""
        self._left = 0

    def end(self) -> None:
        """Take no more frames, and release those that are held."""
        self.stop()
        held, self._held = self._held, []
        for each in held:
            each.release()
