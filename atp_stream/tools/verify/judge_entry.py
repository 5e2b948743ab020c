"""The entry of an item in the table, and the same by the replay."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atp_stream.contracts.errors import StateFormatError
from atp_stream.contracts.state_codec import decode_item, encode_item
from atp_stream.domain.policy import Policy
from atp_stream.domain.quantity import format_quantity
from atp_stream.domain.state import ItemState, Stock
from atp_stream.streaming.partitioner import partition_of
from atp_stream.tools.verify.changelog import entry_of
from atp_stream.tools.verify.report import Findings, place
from atp_stream.tools.verify.scratch import LATER, TABLE


@dataclass(frozen=True)
class Circumstances:
    """What holds for all items.

    replayed: there are rows of the replay. one_policy: all outputs were decided by the policy in force. every_change:
    the emit mode. gone: output partitions, as (index of topic, partition), whose beginning has expired.
    """

    policy: Policy
    replayed: bool
    one_policy: bool
    every_change: bool
    changelog: str
    partitions: int
    output_partitions: Sequence[int]
    gone: frozenset[tuple[int, int]]


@dataclass
class ItemEntry:
    """state: as of the cut, None: the table has none. later: the number the item has come to since, at least."""

    state: ItemState | None = None
    where: str = ""
    later: int = 0

    @property
    def sequence(self) -> int:
        """The number of the item's last output, as of the cut."""
        return 0 if self.state is None else self.state.sequence


def item_entry(key: bytes, rows: Iterable[tuple[bytes, bytes]], all_: Circumstances, findings: Findings) -> ItemEntry:
    """Return the entry; find out one in a wrong partition, and one that the replay has not led to."""
    entry, replayed = ItemEntry(), None
    data = None
    for rest, value in rows:
        kind = rest[1:2]
        if kind == TABLE:
            number = int.from_bytes(rest[2:4], "big")
            offset, _, found = entry_of(value)
            where, home = place(all_.changelog, number, offset), partition_of(key, all_.partitions)
            if number != home:
                findings.add(key, "partition of the table entry", home, number, where)
                continue
            try:
                entry.state, entry.where, data = decode_item(found), where, found
            except StateFormatError as damaged:
                findings.add(key, "table entry", "the state of an item", damaged, where)
        elif kind == LATER:
            entry.later = int.from_bytes(value, "big")
        else:
            replayed = value
    entry.later = max(entry.later, entry.sequence)
    if all_.replayed and data != replayed:
        _compare(key, entry, replayed, all_, findings)
    return entry


def _compare(key: bytes, entry: ItemEntry, replayed: bytes | None, all_: Circumstances, findings: Findings) -> None:
    if entry.state is None or replayed is None:
        found = ("none", "one") if replayed is None else ("one", "none")
        findings.add(key, "table entry", *found, entry.where)
        return
    ours, theirs = decode_item(replayed), entry.state
    if not all_.every_change:
        # How many outputs there are depends on where batches were cut.
        ours = ItemState(ours.on_hand, ours.reserved, ours.emitted, theirs.sequence, ours.changed)
        if encode_item(ours) == encode_item(theirs):
            return
    if ours.changed != theirs.changed and theirs.changed is not None:  # None: the entry is of version 1
        findings.add(key, "table: the input that last changed it", ours.changed, theirs.changed, entry.where)
    for name in ("sequence", "on_hand", "reserved", "emitted"):
        expected, found = getattr(ours, name), getattr(theirs, name)
        if expected == found:
            continue
        if name == "sequence":
            findings.add(key, "table: sequence", expected, found, entry.where)
            continue
        for part in sorted(expected.keys() | found.keys()):
            if expected.get(part) != found.get(part):
                what = f"table: {name.replace('_', ' ')} {part}".rstrip()
                findings.add(key, what, shown(expected.get(part)), shown(found.get(part)), entry.where)


def shown(value: object) -> str:
    """Return a quantity in hundredths, or what holds several, as people write it."""
    if value is None:
        return "none"
    if isinstance(value, int):
        return format_quantity(value)
    if isinstance(value, Stock):
        return f"{format_quantity(value.on_hand)} as of {value.as_of}"
    if isinstance(value, tuple):
        return "available {} reserved {}".format(*map(format_quantity, value))
    assert isinstance(value, dict)
    return ", ".join(f"{name or 'shared'}: {shown(part)}" for name, part in sorted(value.items()))
