"""Ingest, exactly once: every source record below the group's offset lies in the changes log or the dead letters, once.

One bit per offset and source partition, so that memory stays small: 12 MB for a hundred million records.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from confluent_kafka import Message

from atp_stream.stages.records import SOURCE
from atp_stream.streaming.dead_letter_records import REPLAY_OF, is_marker
from atp_stream.streaming.header_names import headers_of
from atp_stream.streaming.records import Partition
from atp_stream.tools.verify.reading import Spans, TopicReader, offset_of
from atp_stream.tools.verify.report import Findings, place

_NOT_FULL: Final = re.compile(rb"[^\xff]", re.DOTALL)
_MOST_DIGITS: Final = 18
_LETTER: Final = ("dead-letter-topic", "dead-letter-partition", "dead-letter-offset")


_SHOWN: Final = 3


class Bits:
    """A set of offsets from `start` on."""

    def __init__(self, start: int) -> None:
        self.start: Final = start
        self._bits: Final = bytearray()
        self.end = start
        """One more than the greatest offset in it."""

    def add(self, offset: int) -> bool:
        """Add an offset that is not below the start. Returns whether it is new."""
        index, bit = divmod(offset - self.start, 8)
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1 - len(self._bits) + (len(self._bits) >> 3)))
        new = not self._bits[index] & (1 << bit)
        self._bits[index] |= 1 << bit
        self.end = max(self.end, offset + 1)
        return new

    def __contains__(self, offset: int) -> bool:
        index, bit = divmod(offset - self.start, 8)
        return 0 <= index < len(self._bits) and bool(self._bits[index] & (1 << bit))

    def missing(self, end: int) -> Iterator[int]:
        """Yield the offsets from the start to before `end` that are not in it."""
        held = 8 * len(self._bits)
        for match in _NOT_FULL.finditer(self._bits):
            for bit in range(8):
                offset = self.start + 8 * match.start() + bit
                if offset >= end:
                    return
                if not match[0][0] & (1 << bit):
                    yield offset
        yield from range(self.start + held, end)


class Ingested:
    """What of the source topics has been seen: forwarded to the changes log, or set aside as a dead letter."""

    def __init__(self, sources: Mapping[Partition, int], decided: Mapping[Partition, int], findings: Findings) -> None:
        """Where reading began of each partition that is ingested, and of each that is decided."""
        self._findings: Final = findings
        self.starts: Final = {**sources, **decided}
        self.ends: Mapping[Partition, int] = {}
        """Where these partitions end: asked for when it was known how far the changes log and the letters are read."""
        self.seen: Final = {partition: Bits(start) for partition, start in sources.items()}
        #: Dead letters of the topics that are decided, by partition; they are no part of `seen`.
        self.refused: Final = {partition: Bits(start) for partition, start in decided.items()}
        self.unknown = 0
        """Records of the changes log that did not come from one of the sources."""
        self.unknown_letters = 0
        """Dead letters of other topics."""

    def take_changes(self, _: Partition, messages: list[Message]) -> None:
        """Take records of the changes log."""
        for message in messages:
            headers = headers_of(message)
            # One that was sent back here still has the `source` of its first time, but is not of ingest's making.
            is_returned = bool(headers) and headers[0][0] == REPLAY_OF
            source = None if is_returned else _header(message, SOURCE)
            origin = None if source is None else _parsed(source)
            if origin is None or origin[0] not in self.seen:
                self.unknown += 1
            else:
                self._add(self.seen, "forwarded from", *origin, message)

    def take_letters(self, _: Partition, messages: list[Message]) -> None:
        """Take dead letters."""
        for message in messages:
            if is_marker(message):
                continue
            topic, number, offset = (_header(message, name) or b"" for name in _LETTER)
            origin = _parsed(b"/".join((topic, number, offset)))
            if origin is None:
                self._findings.add(
                    None, "dead letter without its place", "topic, partition, offset", "none", _at(message)
                )
            elif origin[0] in self.seen:
                self._add(self.seen, "forwarded from", *origin, message)
            elif origin[0] in self.refused:
                self._add(self.refused, "dead letter of", *origin, message)
            else:
                self.unknown_letters += 1

    def _add(
        self, to: Mapping[Partition, Bits], what: str, partition: Partition, offset: int, message: Message
    ) -> None:
        bits, end = to[partition], self.ends[partition]
        if offset < bits.start:
            expected, found = f"{bits.start} or later", str(offset)
        elif offset >= end:  # and no bitmap is made as large as a number that somebody has written
            expected, found = f"before the end, {end}", str(offset)
        elif not bits.add(offset):
            expected, found = "once", "once more"
        else:
            return
        self._findings.add(_key(message), f"{what} {place(*partition, offset)}", expected, found, _at(message))

    def judge(self, before: Mapping[Partition, int | None], after: Mapping[Partition, int | None]) -> None:
        """Hold what was forwarded against the group's offsets before and after all of it was read."""
        for partition, bits in self.seen.items():
            later = after[partition]
            if before[partition] is None or later is None:
                self._findings.add(None, "group offset", "one", "none", place(*partition))
            elif bits.end > later:
                what = "group offset, behind what was forwarded"
                self._findings.add(None, what, f"{bits.end} or later", later, place(*partition))

    def is_missing(self, before: Mapping[Partition, int | None]) -> bool:
        """Return whether any offset before the group's is missing."""
        return any(next(bits.missing(before[p] or 0), None) is not None for p, bits in self.seen.items())

    def look_for_missing(self, before: Mapping[Partition, int | None], ends: Spans, reader: TopicReader) -> int:
        """Look, where offsets before the group's are missing, for records at these places of the sources.

        Returns how many of the missing offsets cannot be looked at any more, as their records have expired.
        """
        gone = 0
        for partition, bits in self.seen.items():
            end = before[partition]
            first = None if end is None else next(bits.missing(end), None)
            if end is not None and first is not None:
                gone += self._look(partition, bits, first, end, ends[partition][0], reader)
        return gone

    def _look(self, partition: Partition, bits: Bits, first: int, end: int, low: int, reader: TopicReader) -> int:
        """Find the records at the missing offsets: where there are none, a transaction has its markers."""
        lost: list[int] = []
        count = 0

        def take(_: Partition, messages: list[Message]) -> None:
            nonlocal count
            for message in messages:
                if offset_of(message) not in bits:
                    count += 1
                    if len(lost) < _SHOWN:
                        lost.append(offset_of(message))

        reader.read({partition: (max(first, low), end)}, take)
        if count:
            found = f"{count} missing: {', '.join(map(str, lost))}{', ...' if count > len(lost) else ''}"
            self._findings.add(
                None, "records forwarded or set aside", f"all before {end}", found, place(*partition, lost[0])
            )
        return sum(1 for _ in bits.missing(min(low, end)))


def _parsed(source: bytes) -> tuple[Partition, int] | None:
    """Return partition and offset of a header `source`: topic/partition/offset."""
    topic, _, rest = source.partition(b"/")
    number, _, offset = rest.partition(b"/")
    if not (number.isdigit() and offset.isdigit() and len(number) <= _MOST_DIGITS and len(offset) <= _MOST_DIGITS):
        return None
    return Partition(topic.decode(errors="replace"), int(number)), int(offset)


def _header(message: Message, name: str) -> bytes | None:
    return next((value for header, value in headers_of(message) if header == name), None)


def _key(message: Message) -> bytes | None:
    key = message.key()
    return key if isinstance(key, bytes) else None


def _at(message: Message) -> str:
    return place(str(message.topic()), message.partition() or 0, message.offset())
