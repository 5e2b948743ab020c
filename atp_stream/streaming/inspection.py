"""Looking into the state of the running workers: who has what, and what may be told of it.

A worker tells only of partitions that are its own beyond doubt, at a moment between question and answer: the gate is
open, and the group's word for it still holds. Whatever else it has on its disk is another's to tell, or nobody's.

Everything here is to be asked on the worker's event loop, where states are written: what is read without awaiting in
between is of one moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from faust.types import AppT

from .committed import Committed
from .consumer import consumer_of
from .engine import Engine
from .gate import Opening
from .partition_state import PartitionState
from .partitioner import partition_of


class Moving(Exception):
    """The partition is restoring or moving between workers: nobody can tell of it at the moment."""


class NotHere(Exception):
    """The partition belongs to another worker."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key lies. url: of the worker that has the partition, as the group last settled; None: none is known."""

    partition: int
    url: str | None


@dataclass
class Inspection:
    """What this worker knows of the group, and what it may tell of the state. partitions: of the table."""

    app: AppT
    engine: Engine
    partitions: int
    #: Timestamp of the last input of each partition, under this opening of the gate.
    _as_of: dict[int, int] = field(default_factory=dict)
    _opening: Opening | None = None

    def __post_init__(self) -> None:
        self.engine.observers.append(self._observe)

    @property
    def own_url(self) -> str:
        """The address under which the group knows this worker."""
        return str(self.app.conf.canonical_url)

    def workers(self) -> Mapping[str, tuple[int, ...]]:
        """Return the partitions of every worker, by its address, as the group last settled; empty before it did.

        Of two workers that give the same address, one is missing, and with it its partitions.
        """
        distribution = self.app.assignor.tables_metadata()
        return {url: tuple(sorted(topics.get(self.engine.changelog, ()))) for url, topics in distribution.items()}

    def place(self, key: bytes) -> Place:
        """Return where a key of the table lies."""
        number = partition_of(key, self.partitions)
        for url, topics in self.app.assignor.tables_metadata().items():
            if number in topics.get(self.engine.changelog, ()):
                return Place(number, url)
        return Place(number, None)

    def partition(self, number: int) -> PartitionState:
        """Return the state of a partition, to be read at once. Raises `Moving`, `NotHere`."""
        held = self.held()
        if number not in held:
            raise NotHere
        return held[number]

    def held(self) -> Mapping[int, PartitionState]:
        """Return the state of every partition that this worker may tell of, to be read at once. Raises `Moving`."""
        store, thread = self.engine.store, consumer_of(self.app).thread
        if store is None or self.engine.gate.opening is None:
            raise Moving("partitions move between workers, or their state is being restored")
        if not thread.lease.holds:
            raise Moving("this worker has not heard from the group's coordinator for a session's time-out")
        return store.partitions

    def as_of(self, number: int) -> int | None:
        """Return the timestamp, in epoch ms, of the last input of a partition.

        None: this worker has processed none since the gate was opened, and before that others may have; or it has none.
        """
        found = self._as_of.get(number, -1)
        return found if found >= 0 and self._opening is self.engine.gate.opening else None

    def _observe(self, committed: Committed) -> None:
        if self._opening is not self.engine.gate.opening:
            self._opening, self._as_of = self.engine.gate.opening, {}
        for (topic, number), records in committed.batch.items():
            if self.engine.sources[topic].stateful:
                self._as_of[number] = records[-1].timestamp
