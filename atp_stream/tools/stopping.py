"""Being asked to stop: Ctrl-C, SIGTERM, or the terminal that goes away."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # not every system has them all
_SLICE_SECONDS: Final = 0.05


class Stop:
    """Whether somebody has asked for a stop.

    A plain flag: an event of `threading` may be locked by the very thread that the signal interrupts.
    """

    def __init__(self) -> None:
        self.asked = False
        self._raises = False

    def wait(self, seconds: float) -> bool:
        """Wait for so long, or until a stop is asked for; return whether it is."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))
        return self.asked

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let a signal end the block with KeyboardInterrupt: for steps that cannot look at a flag."""
        self._raises = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def on_signal(self, _: int, __: FrameType | None) -> None:
        """Note a signal. A second one changes nothing: what is being ended ends within seconds."""
        raises, self._raises = self._raises, False
        self.asked = True
        if raises:
            raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Yield what tells of a signal to stop, in place of what these signals do otherwise. In the main thread only."""
    stop = Stop()
    before = {number: signal.signal(number, stop.on_signal) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
