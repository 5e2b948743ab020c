"""What lies on the cluster and on the workers' disks at one moment, as raw as it is read."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields

from tests.pipeline.log import Entry, Offsets
from tests.pipeline.publishing import Source

Place = tuple[str, int]


@dataclass(frozen=True)
class Names:
    """What belongs to one deployment. `tenant` is that of its events, which tells its outputs from others'."""

    group: str
    tenant: str
    sources: Mapping[str, Source]
    changes: str
    dead_letters: str
    changelog: str
    origins: str
    #: Partition count of changes log and changelog.
    partitions: int
    #: By output topic: the schema id of its records, and how many partitions it has.
    outputs: Mapping[str, tuple[int, int]]
    #: Where it begins in topics that it shares with others; elsewhere it begins at the first record.
    starts: Offsets = field(default_factory=dict)

    @property
    def probe_tenant(self) -> str:
        """The tenant of probe records, which no event of the deployment has."""
        return f"probe-of-{self.tenant}"


@dataclass(frozen=True)
class Stored:
    """The local state of one worker for one partition; `reaches`: the changelog offset that it notes.

    is_damaged: its files do not read to their end, which RocksDB says; a worker that comes upon it rebuilds it.
    """

    worker: str
    partition: int
    reaches: int | None
    entries: Mapping[bytes, bytes]
    is_damaged: bool = False


@dataclass
class Observation:
    """One look at everything: records are those that are new since the last one, read_committed."""

    committed: dict[Place, int | None] = field(default_factory=dict)
    sources: list[Entry] = field(default_factory=list)
    changes: list[Entry] = field(default_factory=list)
    dead_letters: list[Entry] = field(default_factory=list)
    outputs: list[Entry] = field(default_factory=list)
    changelog: list[Entry] = field(default_factory=list)
    stores: list[Stored] = field(default_factory=list)
    #: Where each partition of the changelog ends, transaction markers and all.
    changelog_ends: dict[int, int] = field(default_factory=dict)
    #: Where an open transaction holds consumers back: up to which offset they see, and where the log ends.
    held_back: dict[Place, tuple[int, int]] = field(default_factory=dict)
    #: Probe records that were acknowledged and are not seen.
    unseen_probes: list[tuple[Place, int]] = field(default_factory=list)

    def copy(self) -> "Observation":
        """The same records in lists and mappings of their own."""
        return Observation(**{each.name: copy(getattr(self, each.name)) for each in fields(self)})
