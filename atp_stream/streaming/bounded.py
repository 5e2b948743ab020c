"""Calls into librdkafka that come back in any case.

Its transactional calls take a time-out, and still have been seen to block for good when the broker is killed in the
middle of one (confluent-kafka 2.16, `send_offsets_to_transaction`). Such a call is left behind in a thread of its
own: what it belongs to is thrown away, and a new client settles the matter.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from .errors import Superseded

_LOOK_SECONDS = 0.05

T = TypeVar("T")


class Hung(Exception):
    """A call did not come back within its time; its outcome is not known."""


class _Call(threading.Thread, Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(daemon=True, name="librdkafka call")  # never waited for when the process ends
        self._call = call
        self.result: T | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as failure:
            self.failure = failure


def bounded(call: Callable[[], T], seconds: float, should_stop: Callable[[], bool] | None = None) -> T:
    """Return what `call` returns, raise what it raises, or `Hung` after so many seconds.

    Raises `Superseded` soon after `should_stop()` is true, and leaves the call behind: only for one that reads.
    """
    thread = _Call(call)
    thread.start()
    if should_stop is None:
        thread.join(seconds)
    else:
        until = time.monotonic() + seconds
        while thread.is_alive() and (left := until - time.monotonic()) > 0:
            if should_stop():
                raise Superseded
            thread.join(min(left, _LOOK_SECONDS))
    if thread.is_alive():
        raise Hung
    if thread.failure is not None:
        raise thread.failure
    return thread.result  # type: ignore[return-value]
