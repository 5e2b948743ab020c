"""Everything that belongs to one item, held against each other: table, replay, outputs, reservations."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from atp_stream.streaming.partitioner import partition_of
from atp_stream.tools.verify.judge_entry import Circumstances, ItemEntry, item_entry
from atp_stream.tools.verify.judge_outputs import OutputsOfItem
from atp_stream.tools.verify.judge_reservations import ReservationsOfItem
from atp_stream.tools.verify.packed import TOPICS
from atp_stream.tools.verify.report import Findings
from atp_stream.tools.verify.scratch import ITEM, OUTPUTS, Scratch, item_of_row

Row = tuple[bytes, bytes]
_TELL_EVERY: Final = 1_000


@dataclass
class Totals:
    """What was judged. partial: items whose outputs have expired in part, and could not be summed up."""

    items: int
    reservations: Counter[str]
    partial: int


def judge(scratch: Scratch, circumstances: Circumstances, findings: Findings, advance: Callable[[int], None]) -> Totals:
    """Judge item by item; `advance` is told how many rows have been read."""
    totals = Totals(0, Counter(), 0)
    counted = _counted(scratch.rows(), advance)
    parted = ((*item_of_row(row), value) for row, value in counted)
    for key, rows in itertools.groupby(parted, key=lambda each: each[0]):
        _judge_item(key, ((rest, value) for _, rest, value in rows), circumstances, findings, totals)
    return totals


def _judge_item(key: bytes, rows: Iterator[Row], all_: Circumstances, findings: Findings, totals: Totals) -> None:
    homes = _homes(key, all_)
    gone = frozenset(kind for kind, number in enumerate(homes) if (kind, number) in all_.gone)
    sections = itertools.groupby(rows, key=lambda row: row[0][:1])
    entry: ItemEntry | None = None
    outputs: OutputsOfItem | None = None
    reservations: ReservationsOfItem | None = None
    for section, of_section in sections:
        if section == ITEM:
            entry = item_entry(key, of_section, all_, findings)
            continue
        entry = entry or ItemEntry()
        if section == OUTPUTS:
            outputs = OutputsOfItem(key, entry, homes, gone, all_, findings)
            outputs.judge(of_section)
        else:
            reservations = ReservationsOfItem(key, entry, gone, all_, findings)
            reservations.judge(of_section)
    entry = entry or ItemEntry()
    (outputs or OutputsOfItem(key, entry, homes, gone, all_, findings)).end()
    (reservations or ReservationsOfItem(key, entry, gone, all_, findings)).end()
    if entry.state is not None:
        totals.items += 1
        totals.partial += bool(gone)
    if reservations is not None:
        totals.reservations.update(reservations.by_status)


def _homes(key: bytes, all_: Circumstances) -> list[int]:
    """Return the partition of the item in each output topic."""
    by_count: Mapping[int, int] = {count: partition_of(key, count) for count in set(all_.output_partitions)}
    assert len(all_.output_partitions) == len(TOPICS)
    return [by_count[count] for count in all_.output_partitions]


def _counted(rows: Iterator[Row], advance: Callable[[int], None]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number % _TELL_EVERY == 0:
            advance(_TELL_EVERY)
