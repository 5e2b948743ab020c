"""Decide: the outputs that follow from the inputs in the order of the log, held byte by byte against what is there."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from tests.pipeline.item import Item, Policy
from tests.pipeline.log import Entry
from tests.pipeline.oracle import OUTPUTS, decode_output

from .difference import Difference
from .forms import escaped, item_value, murmur2, output_headers, output_value, reservation_value
from .ingest_check import Input, Report, place
from .observation import Names


class Due(NamedTuple):
    """An output that has to come."""

    sequence: bytes
    partition: int
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]


class OutputCheck:
    """The oracle's items, what is due of each topic and item, and the table that goes with it."""

    def __init__(self, names: Names, policy: Policy, report: Report) -> None:
        self._names, self._policy, self._report = names, policy, report
        self._items: dict[bytes, Item] = {}
        self._due: dict[tuple[str, bytes], deque[Due]] = {}
        self._last: dict[tuple[str, bytes], int] = {}
        self._touched: dict[bytes, set[str]] = {}
        #: What the table has to hold.
        self.table: dict[bytes, bytes] = {}

    def decide(self, given: Input) -> bool:
        """Take the next input of its item. False: it is to be refused."""
        key, (kind, fields) = given.key, given.event
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = Item(self._policy)
        touched = self._touched.setdefault(key, set())
        if "reservationId" in fields:
            touched.add(fields["reservationId"])
        if not item.apply(kind, fields):
            return False
        home = murmur2(key)
        for event in item.expected:
            topic = OUTPUTS[event["event-type"]]
            schema_id, partitions = self._names.outputs[topic]
            due = Due(
                str(event["sequence"]).encode(),
                home % partitions,
                output_value(schema_id, event),
                output_headers(event, given.trace),
            )
            self._due.setdefault((topic, key), deque()).append(due)
        item.expected.clear()
        return True

    def output(self, entry: Entry) -> None:
        """Take an output, which has to be the next one that is due of its topic and item."""
        assert entry.key is not None
        line = (entry.topic, entry.key)
        due = self._due.get(line)
        found = Due((dict(entry.headers).get("sequence") or b""), entry.partition, entry.value or b"", entry.headers)
        self._last[line] = max(self._last.get(line, 0), int(found.sequence) if found.sequence.isdigit() else 0)
        if due and due[0] == found:
            due.popleft()
        elif not due or not any(each.sequence == found.sequence for each in due):
            self._report(Difference("output again, or not called for", _where(entry), None, _shown(entry)))
        else:
            while due[0].sequence != found.sequence:
                self._report_missing(line, due.popleft())
            self._report(Difference("wrong output", _where(entry), _due_shown(line, due.popleft()), _shown(entry)))
        if due is not None and not due:
            del self._due[line]

    def missing(self) -> None:
        """Report what is due; it is not waited for any longer."""
        for line, due in self._due.items():
            for each in due:
                self._report_missing(line, each)
        self._due.clear()

    def _report_missing(self, line: tuple[str, bytes], due: Due) -> None:
        self._report(Difference("output lost", f"{line[1].decode()} in {line[0]}", _due_shown(line, due), None))

    def touched(self) -> Iterator[tuple[bytes, bytes]]:
        """Bring the table up to date; yield item key and key of every entry that an input was about."""
        for key, reservations in self._touched.items():
            item = self._items[key]
            item.check_sums()
            value = item_value(item)
            if value is not None:
                self.table[key] = value
            yield key, key
            for name in reservations:
                entry_key = key + b"/" + escaped(name).encode()
                held = item.reservations.get(name)
                if held is not None:
                    self.table[entry_key] = reservation_value(held)
                yield key, entry_key
        self._touched.clear()


def _where(entry: Entry) -> str:
    return f"{(entry.key or b'').decode(errors='replace')} at {place(entry)}"


def _shown(entry: Entry) -> object:
    try:
        return (entry.partition, decode_output(entry))
    except Exception:  # it is to be shown, whatever it is
        return entry


def _due_shown(line: tuple[str, bytes], due: Due) -> object:
    return _shown(Entry(line[0], due.partition, -1, line[1], due.value, due.headers))
