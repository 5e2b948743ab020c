"""Bad input: the original bytes with their cause, in the same transaction, at no more than a set rate."""

from collections import deque
from collections.abc import Callable

from .errors import DeadLetterFlood
from .records import Record

Header = tuple[str, bytes | None]

#: Longer values are cut: a dead letter that does not fit into its topic would stop the worker for ever.
MOST_VALUE_BYTES = 1_500_000
_MOST_KEY_BYTES = 64 << 10
_MOST_HEADER_BYTES = 64 << 10
#: Of each header besides its name and value: many empty ones take room too.
_HEADER_BYTES = 8


def dead_letter(record: Record, code: str, message: str) -> tuple[bytes | None, bytes | None, list[Header]]:
    """Return value, key and headers of the dead letter of `record`.

    Value, key and headers are the record's own, unchanged; the cause stands before them in the headers
    `dead-letter-topic`, `-partition`, `-offset`, `-error` (a stable code) and `-message` (for a person). What is too
    long is cut, and `dead-letter-cut` says so.
    """
    headers: list[Header] = [
        ("dead-letter-topic", record.topic.encode()),
        ("dead-letter-partition", b"%d" % record.partition),
        ("dead-letter-offset", b"%d" % record.offset),
        ("dead-letter-error", code.encode()),
        ("dead-letter-message", _utf8(message, 1000)),
    ]
    value, key, cut = record.value, record.key, []
    if value is not None and len(value) > MOST_VALUE_BYTES:
        value = value[:MOST_VALUE_BYTES]
        cut.append("value")
    if key is not None and len(key) > _MOST_KEY_BYTES:
        key = key[:_MOST_KEY_BYTES]
        cut.append("key")
    if sum(len(name.encode()) + len(content or b"") + _HEADER_BYTES for name, content in record.headers) > (
        _MOST_HEADER_BYTES
    ):
        cut.append("headers")
    else:
        headers.extend(record.headers)
    if cut:
        headers.insert(5, ("dead-letter-cut", ",".join(cut).encode()))
    return value, key, headers


def _utf8(text: str, most: int) -> bytes:
    """Return at most so many bytes of a text, and no part of a character."""
    return text.encode(errors="replace")[:most].decode(errors="ignore").encode()


class FloodGuard:
    """Counts dead letters over the last minute. The clock decides only when to stop, never what an event does."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._times: deque[float] = deque()

    def count(self, record: Record, code: str, message: str) -> None:
        """Count one. Raises `DeadLetterFlood`, naming this one, if the rate is above what is allowed."""
        now = self._clock()
        while self._times and self._times[0] <= now - 60:
            self._times.popleft()
        self._times.append(now)
        if len(self._times) > self._per_minute:
            raise DeadLetterFlood(
                f"more than {self._per_minute} dead letters within a minute",
                cause=f"the last one: {record.topic}[{record.partition}]@{record.offset}: {code}: {message}",
                fix="find out what publishes bad input; raise worker.dead_letters_per_minute to let it pass",
            )

    def forget(self, number: int) -> None:
        """Take back the last ones: their transaction did not commit, and they will be counted again."""
        for _ in range(min(number, len(self._times))):
            self._times.pop()
