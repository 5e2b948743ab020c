"""Faults planted into an observation, one by one: what a checker that can fail has to find."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.pipeline.item import AVAILABILITY, COMMITTED, DENIED
from tests.pipeline.log import Entry
from tests.pipeline.oracle import OUTPUTS, decode_output

from .forms import WATERMARK, output_value, watermark_value
from .observation import Observation, Place, Stored


def output_of(seen: Observation, kind: str, tenant: bytes) -> int:
    """Where the last output of this kind is in the list."""
    return max(
        at
        for at, entry in enumerate(seen.outputs)
        if entry.topic == OUTPUTS[kind] and entry.key is not None and entry.key.startswith(tenant + b"/")
    )


def rewritten(entry: Entry, **fields: Any) -> Entry:
    """The same output with other fields."""
    assert entry.value is not None
    event = {**decode_output(entry), **fields}
    return entry._replace(value=output_value(int.from_bytes(entry.value[1:5], "big"), event))


def with_header(entry: Entry, name: str, value: bytes | None) -> Entry:
    """The same record with another header; None: without it."""
    headers = ((key, value if key == name else old) for key, old in entry.headers)
    return entry._replace(headers=tuple(header for header in headers if header[0] != name or value is not None))


class Planter:
    """Plants into one observation of a deployment of one tenant."""

    def __init__(self, seen: Observation, tenant: str, changes: str) -> None:
        self.seen, self.tenant, self.changes = seen, tenant.encode(), changes

    def _output(self, kind: str = AVAILABILITY) -> int:
        return output_of(self.seen, kind, self.tenant)

    def _change_output(self, kind: str, change: Callable[[Entry], Entry]) -> None:
        at = self._output(kind)
        self.seen.outputs[at] = change(self.seen.outputs[at])

    # --- outputs ---

    def output_removed(self) -> None:
        del self.seen.outputs[self._output(DENIED)]

    def output_twice(self) -> None:
        entry = self.seen.outputs[self._output()]
        self.seen.outputs.append(entry._replace(offset=entry.offset + 1000))

    def outputs_swapped(self) -> None:
        outputs, topic = self.seen.outputs, self.seen.outputs[self._output()].topic
        places: dict[bytes, list[int]] = {}
        for at, each in enumerate(outputs):
            if each.topic == topic and each.key is not None and each.key.startswith(self.tenant + b"/"):
                places.setdefault(each.key, []).append(at)
        # An item that has several: in what order the partitions were read, and so which comes last, is chance.
        first, second = next(found[-2:] for found in places.values() if len(found) > 1)
        outputs[first], outputs[second] = outputs[second], outputs[first]

    def output_from_nowhere(self) -> None:
        entry = self.seen.outputs[self._output()]
        self.seen.outputs.append(entry._replace(key=self.tenant + b"/item-that-nobody-named"))

    def available_off_by_a_cent(self) -> None:
        def change(entry: Entry) -> Entry:
            return rewritten(entry, available=decode_output(entry)["available"] + Decimal("0.01"))

        self._change_output(AVAILABILITY, change)

    def wrong_allocation_id(self) -> None:
        self._change_output(COMMITTED, lambda entry: rewritten(entry, allocationId=decode_output(entry)["eventId"]))

    def wrong_event_id(self) -> None:
        self._change_output(DENIED, lambda entry: rewritten(entry, eventId="00000000-0000-5000-8000-000000000000"))

    def wrong_reason(self) -> None:
        self._change_output(DENIED, lambda entry: rewritten(entry, reason="NO_REASON"))

    def wrong_sequence(self) -> None:
        self._change_output(AVAILABILITY, lambda entry: with_header(entry, "sequence", b"100000"))

    def wrong_cause(self) -> None:
        self._change_output(AVAILABILITY, lambda entry: with_header(entry, "causation-id", b"another"))

    def header_more(self) -> None:
        self._change_output(AVAILABILITY, lambda e: e._replace(headers=(*e.headers, ("traceparent", b"more"))))

    def wrong_partition(self) -> None:
        self._change_output(AVAILABILITY, lambda entry: entry._replace(partition=(entry.partition + 1) % 6))

    def another_schema_id(self) -> None:
        def change(entry: Entry) -> Entry:
            return entry._replace(value=b"\x00\x00\x00\x00\x63" + (entry.value or b"")[5:])

        self._change_output(AVAILABILITY, change)

    # --- ingest ---

    def change_removed(self) -> None:
        del self.seen.changes[0]

    def input_forwarded_twice(self) -> None:
        entry = self.seen.changes[-1]
        self.seen.changes.append(entry._replace(offset=entry.offset + 1000))

    def input_changed_on_its_way(self) -> None:
        self.seen.changes[0] = self.seen.changes[0]._replace(headers=self.seen.changes[0].headers[:2])
        source = self.seen.changes[0].header("source")
        at = next(at for at, each in enumerate(self.seen.sources) if _place(each) == source)
        self.seen.sources[at] = self.seen.sources[at]._replace(headers=(("own", b"lost"),))

    def inputs_out_of_order(self) -> None:
        changes = self.seen.changes
        lanes: dict[tuple[int, bytes], int] = {}
        for at, entry in enumerate(changes):
            lane = (entry.partition, (entry.header("source") or b"").rpartition(b"/")[0])
            if (before := lanes.get(lane)) is not None:
                changes[before], changes[at] = changes[at], changes[before]
                return
            lanes[lane] = at

    def letter_removed(self) -> None:
        del self.seen.dead_letters[self._letter()]

    def letter_twice(self) -> None:
        self.seen.dead_letters.append(self.seen.dead_letters[self._letter()])

    def letter_with_another_code(self) -> None:
        self._change_letter(lambda entry: with_header(entry, "dead-letter-error", b"NOT_JSON"))

    def letter_cut(self) -> None:
        self._change_letter(lambda entry: entry._replace(value=b"cut"))

    def good_input_set_aside(self) -> None:
        entry = self.seen.changes.pop()
        topic, partition, offset = (entry.header("source") or b"").split(b"/")
        cause = {"topic": topic, "partition": partition, "offset": offset, "error": b"EMPTY_ID", "message": b"-"}
        headers = tuple((f"dead-letter-{name}", value) for name, value in cause.items())
        self.seen.dead_letters.append(entry._replace(headers=headers))

    def _letter(self) -> int:
        own = (at for at, each in enumerate(self.seen.dead_letters) if not (each.key or b"").startswith(b"probe-of"))
        return next(own)

    def _change_letter(self, change: Callable[[Entry], Entry]) -> None:
        self.seen.dead_letters[self._letter()] = change(self.seen.dead_letters[self._letter()])

    # --- state and offsets ---

    def _last_of(self, is_meant: Callable[[bytes], bool]) -> int:
        return max(at for at, each in enumerate(self.seen.changelog) if is_meant(each.key or b""))

    def _item_entry(self) -> int:
        return self._last_of(lambda key: key.count(b"/") == 1 and key != WATERMARK)

    def wrong_number_in_the_changelog(self) -> None:
        at = self._item_entry()
        value = self.seen.changelog[at].value or b""
        self.seen.changelog[at] = self.seen.changelog[at]._replace(value=value[:-1] + bytes([value[-1] ^ 1]))

    def changelog_record_removed(self) -> None:
        del self.seen.changelog[self._last_of(lambda key: key.count(b"/") == 2)]

    def changelog_tombstone(self) -> None:
        at = self._item_entry()
        self.seen.changelog[at] = self.seen.changelog[at]._replace(value=None)

    def watermark_off_by_one(self) -> None:
        at = self._last_of(lambda key: key == WATERMARK)
        entry = self.seen.changelog[at]
        offset = self.seen.committed[self.changes, entry.partition]
        assert offset is not None
        self.seen.changelog[at] = entry._replace(value=watermark_value({self.changes: offset + 1}))

    def _some_place(self) -> Place:
        return next(place for place, offset in self.seen.committed.items() if place[0] != self.changes and offset)

    def committed_behind(self) -> None:
        self.seen.committed[self._some_place()] = 0

    def committed_ahead(self) -> None:
        self.seen.committed[self._some_place()] = 1_000_000

    def committed_lost(self) -> None:
        self.seen.committed[self._some_place()] = None

    def _change_store(self, change: Callable[[Stored, dict[bytes, bytes]], Stored]) -> None:
        at = next(at for at, each in enumerate(self.seen.stores) if each.entries)
        stored = self.seen.stores[at]
        self.seen.stores[at] = change(stored, dict(stored.entries))

    def stored_value_changed(self) -> None:
        def change(stored: Stored, entries: dict[bytes, bytes]) -> Stored:
            key = max(entries)
            return Stored(stored.worker, stored.partition, stored.reaches, {**entries, key: entries[key] + b"\x00"})

        self._change_store(change)

    def stored_value_lost(self) -> None:
        def change(stored: Stored, entries: dict[bytes, bytes]) -> Stored:
            entries.pop(max(entries))
            return Stored(stored.worker, stored.partition, stored.reaches, entries)

        self._change_store(change)

    def store_ahead(self) -> None:
        self._change_store(lambda stored, entries: Stored(stored.worker, stored.partition, 1_000_000, entries))

    def store_behind(self) -> None:
        number = self.seen.stores[0].partition
        self.seen.stores = [
            Stored(s.worker, s.partition, -1, {}) if s.partition == number else s for s in self.seen.stores
        ]

    def probe_unseen(self) -> None:
        self.seen.unseen_probes.append((("a topic", 0), 7))

    def transaction_open(self) -> None:
        self.seen.held_back["a topic", 0] = (7, 9)


def _place(entry: Entry) -> bytes:
    return f"{entry.topic}/{entry.partition}/{entry.offset}".encode()
