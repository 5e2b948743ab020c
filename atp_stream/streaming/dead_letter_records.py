"""What lies in the dead-letter topic: letters, and the markers of those that were sent back.

A marker has neither key nor value, so that compaction, which that topic must not have, could not take a letter away by
it. Which of the two a record is says its *first* header: the causes of a letter come before what its sender wrote, so
no sender can make a letter pass for a marker.
"""

from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import Message

from .header_names import headers_of
from .records import Headers, Partition

#: First header of a marker: the letter that was sent back, as partition/offset in the dead-letter topic.
REPLAYED = "dead-letter-replayed"
_TO, _CALL, _MENDED = "dead-letter-replayed-to", "dead-letter-replayed-call", "dead-letter-replayed-mended"
#: On a record that is sent back, for each time: the letter that it was, as partition/offset.
REPLAY_OF = "dead-letter-replay-of"

_PREFIX = "dead-letter-"
_CAUSE = tuple(f"{_PREFIX}{part}" for part in ("topic", "partition", "offset", "error", "message", "cut"))


class Place(NamedTuple):
    """Where a letter lies in the dead-letter topic: what it is called by."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @property
    def as_header(self) -> bytes:
        """The place as headers have it."""
        return b"%d/%d" % self


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    time: when it was set aside, epoch ms. source, source_offset: where its record lay; None where it does not say.
    code, message: why it was refused. cut: which of value, key, headers are not whole. key, value, headers: those of
    the record.
    """

    place: Place
    time: int
    source: Partition | None
    source_offset: int
    code: str
    message: str
    cut: frozenset[str]
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def origin(self) -> str:
        """Where its record lay: topic[partition]@offset."""
        return f"{self.source.topic}[{self.source.number}]@{self.source_offset}" if self.source else "?"

    @property
    def replay_of(self) -> list[str]:
        """The letters that this record was before, the latest first: one for each time that it was sent back."""
        return [_text(value).replace("/", ":") for name, value in self.headers if name == REPLAY_OF]


@dataclass(frozen=True, slots=True)
class Marker:
    """That a letter was sent back: when (epoch ms), to which topic, with another value or not, and by which call."""

    letter: Place
    time: int
    to: str
    is_mended: bool
    call: str


def is_marker(message: Message) -> bool:
    """Return whether a record of the dead-letter topic is a marker, and no dead letter."""
    return _says_marker(headers_of(message))


def read_record(message: Message) -> Letter | Marker:
    """Return what a record of the dead-letter topic is. One that nobody here wrote is a letter without a source."""
    place = Place(message.partition() or 0, message.offset() or 0)
    time, headers = message.timestamp()[1], headers_of(message)
    if _says_marker(headers):
        said = {name: _text(value) for name, value in reversed(headers)}
        partition, _, offset = said[REPLAYED].partition("/")
        letter = Place(_number(partition), _number(offset))
        return Marker(letter, time, said.get(_TO, "?"), _MENDED in said, said.get(_CALL, ""))
    cause: dict[str, str] = {}
    while headers and headers[0][0] in _CAUSE and headers[0][0] not in cause:
        name, value = headers.pop(0)
        cause[name] = _text(value)
    topic, partition, offset, code, text, cut = (cause.get(name, "") for name in _CAUSE)
    number = _number(partition)
    return Letter(
        place,
        time,
        Partition(topic, number) if topic and number >= 0 else None,
        _number(offset),
        code or "?",
        text,
        frozenset(cut.split(",")) if cut else frozenset(),
        _bytes(message.key()),
        _bytes(message.value()),
        headers,
    )


def marker_headers(letter: Place, to: str, is_mended: bool, call: str) -> list[tuple[str, bytes | None]]:
    """Return the headers of the marker of a letter that is sent back to the topic `to` by `call`."""
    headers: list[tuple[str, bytes | None]] = [
        (REPLAYED, letter.as_header),
        (_TO, to.encode()),
        (_CALL, call.encode()),
    ]
    return [*headers, (_MENDED, b"yes")] if is_mended else headers


def returned_headers(letter: Letter) -> list[tuple[str, bytes | None]]:
    """Return the headers of the record that is sent back: its own, and before them which letter it was."""
    return [(REPLAY_OF, letter.place.as_header), *letter.headers]


def _says_marker(headers: Headers) -> bool:
    return bool(headers) and headers[0][0] == REPLAYED


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
