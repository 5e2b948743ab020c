"""The gate: nothing is fetched, and nothing fetched is used, unless it is open for the membership held now.

Faust resumes partitions before it seeks, and its consumer keeps prefetched records. The gate takes both away:
opening it seeks, and every fetch carries the opening it was made under (design section 5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .membership import Membership
from .records import Partition, Record


@dataclass(eq=False, slots=True)
class Opening:
    """One opening of the gate. Compared by identity: a second opening under the same membership is another one.

    `waiting` is the weight of what was fetched under it and the engine has not taken yet; `fetched` and `taken` number
    the fetches made and taken, so that none is lost on its way through Faust unnoticed.
    """

    membership: Membership
    waiting: int = 0
    fetched: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Fetch:
    """What one fetch brought: raw records by partition, in offset order, and the opening it was made under.

    `number` counts the fetches of the opening from 1 on. `weight` is what it takes of memory and of a transaction's
    time, by which both are bounded: one per record, and one more per KiB of its value.
    """

    opening: Opening
    number: int
    records: Mapping[Partition, Sequence[Record]]
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        weight = sum(1 + (len(each.value or b"") >> 10) for found in self.records.values() for each in found)
        object.__setattr__(self, "weight", weight)

    @property
    def size(self) -> int:
        """Number of records."""
        return sum(map(len, self.records.values()))


class Gate:
    """Open for one membership, or closed. Written by recovery and the consumer's thread, read by both threads."""

    def __init__(self) -> None:
        self.opening: Opening | None = None

    def close(self) -> None:
        """From here on fetches return nothing, and what was fetched before is dropped."""
        self.opening = None

    def open(self, membership: Membership) -> None:
        """Let fetches through for `membership`; the caller has just sought to the committed offsets."""
        self.opening = Opening(membership)
