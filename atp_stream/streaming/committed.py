"""What a committed transaction was: told to those who count, trace and show, and to nobody before the commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .records import Partition, Record


@dataclass(frozen=True, slots=True)
class Committed:
    """One transaction, committed and written to the local state.

    batch: its records by partition, in offset order. notes: what the stages wanted told, in their order. refused: dead
    letters with the code of their error. seconds_*: how long its three steps took.
    """

    batch: Mapping[Partition, Sequence[Record]]
    notes: Sequence[object]
    refused: Sequence[tuple[Record, str]]
    seconds_processing: float
    seconds_committing: float
    seconds_writing: float
