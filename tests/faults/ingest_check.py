"""Ingest: every source record is in the changes log or in the dead letters, once, whole, and in its order."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.pipeline.log import Entry

from .admission import Admission, Event, readable
from .difference import Difference
from .forms import item_key, murmur2
from .observation import Names

Report = Callable[[Difference], object]

_OWN = ("encoding", "source")
_CAUSE = ("dead-letter-topic", "dead-letter-partition", "dead-letter-offset", "dead-letter-error")
_MOST_TRACE_BYTES = 64


class Input(NamedTuple):
    """An accepted input, where it is decided."""

    entry: Entry
    key: bytes
    event: Event
    trace: bytes | None


class IngestCheck:
    """Holds source records against what became of them. What is due and has not been seen is kept."""

    def __init__(self, names: Names, schemas: Mapping[int, Any], report: Report) -> None:
        self._names, self._report = names, report
        self._admission = Admission(schemas)
        self._forwards: dict[str, tuple[Entry, Event]] = {}
        self._letters: dict[str, tuple[Entry, frozenset[str]]] = {}
        self._last: dict[tuple[str, int], int] = {}

    def source(self, entry: Entry) -> Input | None:
        """Take a source record; return it if it is decided where it lies."""
        source = self._names.sources[entry.topic]
        found = self._admission.decide(entry, source.event, source.encoding)
        if isinstance(found, frozenset):
            self._letters[place(entry)] = (entry, found)
        elif source.keyed_by_item:
            return _input(entry, found)
        else:
            self._forwards[place(entry)] = (entry, found)
        return None

    def change(self, entry: Entry) -> Input | None:
        """Take a record of the changes log; return it if it is an event."""
        source = dict(entry.headers).get("source", b"") or b""
        due = self._forwards.pop(source.decode(), None)
        if due is None:
            self._report(Difference("input forwarded again, or from nowhere", place(entry), "one per source", source))
        else:
            self._compare(entry, *due)
            self._check_order(entry, due[0])
            if entry.value == due[0].value:
                return _input(entry, due[1])
        encoding = "json" if ("encoding", b"json") in entry.headers else "avro"
        found = self._admission.decide(entry, None, encoding)
        if isinstance(found, frozenset):
            self._letters[place(entry)] = (entry, found)
            return None
        return _input(entry, found)

    def _compare(self, entry: Entry, original: Entry, event: Event) -> None:
        key = item_key(event.fields)
        encoding = self._names.sources[original.topic].encoding.encode()
        own = [header for header in original.headers if header[0] not in _OWN]
        headers = (("encoding", encoding), ("source", place(original).encode()), *own)
        expected = (key, murmur2(key) % self._names.partitions, original.value, headers)
        found = (entry.key, entry.partition, entry.value, entry.headers)
        if expected != found:
            where = f"{place(entry)} from {place(original)}"
            self._report(Difference("input changed on its way", where, expected, found))

    def _check_order(self, entry: Entry, original: Entry) -> None:
        way = (f"{original.topic}/{original.partition}", entry.partition)
        if self._last.get(way, -1) > original.offset:
            where = f"{place(entry)} from {place(original)}"
            self._report(Difference("input out of order", where, f"after {self._last[way]}", original.offset))
        self._last[way] = original.offset

    def refused(self, given: Input) -> None:
        """Note an input that is to be refused where it is decided."""
        self._letters[place(given.entry)] = (given.entry, frozenset({"QUANTITY_OUT_OF_RANGE"}))

    def letter(self, entry: Entry) -> None:
        """Take a dead letter."""
        cause = [(dict(entry.headers).get(name) or b"").decode(errors="replace") for name in _CAUSE]
        origin = "/".join(cause[:3])
        due = self._letters.pop(origin, None)
        if due is None:
            self._report(Difference("dead letter again, or of good input", f"{place(entry)} of {origin}", None, cause))
            return
        original, codes = due
        if cause[3] not in codes:
            self._report(Difference("wrong error code", f"{place(entry)} of {origin}", sorted(codes), cause[3]))
        names = tuple(name for name, _ in entry.headers[:5])
        own = tuple((readable(name), value) for name, value in original.headers)
        expected = (original.key, original.value, (*_CAUSE, "dead-letter-message"), own)
        found = (entry.key, entry.value, names, entry.headers[5:])
        if expected != found:
            self._report(Difference("dead letter not whole", f"{place(entry)} of {origin}", expected, found))

    def missing(self) -> None:
        """Report what is due; it is not waited for any longer."""
        for origin in self._forwards:
            self._report(Difference("input lost", origin, "in the changes log", "nowhere"))
        for origin, (_, codes) in self._letters.items():
            self._report(Difference("dead letter lost", origin, sorted(codes), "nowhere"))
        self._forwards.clear()
        self._letters.clear()


def place(entry: Entry) -> str:
    """Where a record lies."""
    return f"{entry.topic}/{entry.partition}/{entry.offset}"


def _input(entry: Entry, event: Event) -> Input:
    traces = (value for name, value in entry.headers if name == "traceparent")
    trace = next(traces, None)
    if trace is not None and len(trace) > _MOST_TRACE_BYTES:
        trace = None
    return Input(entry, item_key(event.fields), event, trace)
