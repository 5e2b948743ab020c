"""What verify has to say: differences, checks that were made and that were not, and what was read."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from atp_stream.errors import EXIT_OK, DataError

REPLAY: Final = "the log, decided again, gives table and outputs"
INGEST: Final = "each source record lies in the changes log or the dead letters, once"
_LEAST_OF_ITEM: Final = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it has to be.

    item: tenant/item; "-" where it is none of one item. where: topic[partition]@offset, as far as there is one.
    """

    item: str
    what: str
    expected: str
    found: str
    where: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the list in docs/operations.md. note: why it was not made, or of what it was not."""

    name: str
    made: bool
    note: str = ""


class Findings:
    """The differences: the first `limit` are kept, at most a tenth of that (or five) of one item; all are counted."""

    def __init__(self, limit: int, wanted: Callable[[bytes], bool] = lambda _: True) -> None:
        """`wanted`: whether an item, by its key, is looked at; what differs of others is left out."""
        self._wanted: Final = wanted
        self._limit: Final = limit
        self._of_one: Final = max(_LEAST_OF_ITEM, limit // 10)
        self._of_item: Final[Counter[str]] = Counter()
        self.kept: Final[list[Difference]] = []
        self.total = 0

    def add(self, item: bytes | None, what: str, expected: object, found: object, where: str = "") -> None:
        """Add a difference; `item` is an item key, None where it is none of one item."""
        if item is not None and not self._wanted(item):
            return
        self.total += 1
        name = "-" if item is None else item.decode(errors="backslashreplace")
        if len(self.kept) < self._limit and (item is None or self._of_item[name] < self._of_one):
            self._of_item[name] += 1
            self.kept.append(Difference(name, what, str(expected), str(found), where))


@dataclass(slots=True)
class Report:
    """The result. read: records by topic; reservations: how many by status; seconds: how long it took."""

    differences: list[Difference]
    total: int
    checks: list[Check]
    read: dict[str, int]
    items: int
    reservations: dict[str, int]
    notes: list[str]
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0: all checks that could be made found nothing; 65: something differs."""
        return DataError.exit_code if self.total else EXIT_OK


def list_checks(
    impossible: str | None, ingest: Check, partial: int, every_change: bool, one_policy: bool
) -> list[Check]:
    """Return the list of checks: which were made, and why others were not (docs/operations.md).

    impossible: why there was no replay, None: there was one; partial: items whose outputs have expired in part;
    every_change: the emit mode; one_policy: whether all outputs were decided by the policy in force.
    """
    made, why = impossible is None, impossible or ""
    expired = f"not in full for {partial:,} items, whose first outputs expired" if partial else ""
    thinned = "" if every_change else "emit is latest_per_batch: of availability, the last of each channel"
    by_outputs = every_change and one_policy
    return [
        Check(REPLAY, made, why or thinned),
        Check("outputs: gapless numbers, each once, ids, keys, partitions", True, expired),
        Check("table equals the outputs summed up", True, expired),
        Check("no commitment takes safety stock", made, why),
        Check(
            "no commitment is beyond what was available",
            made or by_outputs,
            "" if by_outputs else why or "by the replay only: emit is latest_per_batch",
        ),
        Check("reserved is within the limit, and the sum of committed reservations", True, expired),
        ingest,
        Check("group offsets agree with the watermarks", True),
    ]


def place(topic: str, partition: int, offset: int | None = None) -> str:
    """Return how a place in a topic is written."""
    return f"{topic}[{partition}]" + ("" if offset is None else f"@{offset}")
