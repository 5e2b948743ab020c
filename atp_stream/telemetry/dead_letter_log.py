"""A line in the log for inputs that were refused: where they lie, why, and in which trace.

One line per transaction, and no more than one per second: what is not named is counted.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from atp_stream.stages.records import traceparent_of
from atp_stream.streaming.committed import Committed
from atp_stream.streaming.records import Record

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_EVERY_SECONDS = 1.0
_MOST_NAMED = 5


class DeadLetterLog:
    """An observer of commits. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = -_EVERY_SECONDS
        self._unsaid = 0

    def __call__(self, told: Committed) -> None:
        """Say what was refused, if anything was."""
        if not told.refused:
            return
        self._unsaid += len(told.refused)
        if self._clock() - self._last < _EVERY_SECONDS:
            return
        self._last = self._clock()
        first, *more = told.refused[:_MOST_NAMED]
        log.warning("dead letters", count=self._unsaid, **_fields(*first), **_more(more))
        self._unsaid = 0


def _fields(record: Record, error: str) -> dict[str, Any]:
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "error": str(error)}
    trace_id = trace_id_of(traceparent_of(record))
    return place if trace_id is None else {**place, "trace_id": trace_id}


def _more(refused: Sequence[tuple[Record, str]]) -> dict[str, Any]:
    return {"more": [_fields(record, error) for record, error in refused]} if refused else {}


def trace_id_of(traceparent: bytes | None) -> str | None:
    """Return the trace id, 32 hexadecimal digits, of a `traceparent` header that has one."""
    parts = (traceparent or b"").split(b"-")
    if len(parts) < 4 or len(parts[1]) != 32:
        return None
    try:
        return f"{int(parts[1], 16):032x}" if b"_" not in parts[1] else None
    except ValueError:
        return None
