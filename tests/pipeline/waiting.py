"""Waiting for something to come true: as short as possible, bounded, and with a failure that says what was there."""

import time
from collections.abc import Callable
from typing import TypeVar

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
