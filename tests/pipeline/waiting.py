"""Waiting for something to come true: as short as possible, bounded, and with a failure that says what was there."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

#: Generous: the machine may be busy with other things. Nothing that works takes a tenth of it.
LIMIT_SECONDS = 60.0
_POLL_SECONDS = 0.02

T = TypeVar("T")


def until(
    what: str, probe: Callable[[], T], context: Callable[[], str] = lambda: "", seconds: float = LIMIT_SECONDS
) -> T:
    """Return what `probe` returns as soon as that is true. AssertionError, with `context`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{seconds:.0f} s later still not: {what}\nlast seen: {found!r}\n{context()}")
        time.sleep(_POLL_SECONDS)
    return found


def answered(what: str, call: Callable[[], T]) -> T:
    """Return what `call` returns, calling again while a broker is away, has just come back, or is not settled."""
    found: list[T] = []
    last: list[KafkaException] = []

    def probe() -> bool:
        try:
            found.append(call())
        except KafkaException as failure:
            last.append(failure)
            return False
        return True

    until(what, probe, lambda: str(last[-1:]))
    return found[0]
