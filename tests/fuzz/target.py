"""What a fuzz target is: it takes any bytes, says what has become of them, and raises where something is wrong."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

ACCEPTED: Final = "accepted"
"""What `run` returns for an input that was taken; anything else it returns is the class of the refusal."""


@dataclass(frozen=True)
class Target:
    """One way in from outside."""

    name: str
    share: int
    """Its share of the inputs of a whole run, in percent: as much as a dear input allows."""
    seeds: Callable[[], Sequence[bytes]]
    """Good inputs, from which the fuzzer starts."""
    run: Callable[[bytes], str]
    """Returns what has become of an input. Whatever it raises is a finding."""
    mutate: Callable[[bytes, Random], bytes] | None = None
    """Changes an input as its format has it, so that what follows is still looked at; None: bytes alone will do."""


def at_once(waiting: Coroutine[Any, Any, _T]) -> _T:
    """Run what has nothing to wait for, without an event loop."""
    try:
        waiting.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    waiting.close()
    raise AssertionError("it waits, though everything is at hand")


_loop: list[asyncio.AbstractEventLoop] = []


def in_loop(waiting: Coroutine[Any, Any, _T]) -> _T:
    """Run what needs an event loop, in one that all inputs share: one for each would cost more than the input."""
    if not _loop:
        _loop.append(asyncio.new_event_loop())
    return _loop[0].run_until_complete(waiting)


def close_loop() -> None:
    """Close the event loop of `in_loop`; the next use makes another."""
    while _loop:
        _loop.pop().close()
