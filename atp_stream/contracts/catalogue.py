"""The one list of all topics: names, partitions, schemas, configuration (design section 2, contract)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from atp_stream.contracts.schemas import SCHEMA_FILES

Role = Literal["input", "internal", "output", "changelog"]

_DAY_MS: Final = 24 * 60 * 60 * 1000

_LARGER_THAN_AN_INPUT: Final = str(2 * 1024 * 1024)
"""In bytes, for topics that take over an input's bytes with headers on top: Kafka's limit on the input itself is 1 MiB
by default, and a record that fits where it came from must fit where it goes."""

_CHANGELOG_CONFIG: Final = {"cleanup.policy": "compact", "max.message.bytes": _LARGER_THAN_AN_INPUT}

OUTPUT_TOPICS: Final[Mapping[str, tuple[str, int]]] = {
    "AvailabilityCalculatedEvent": ("inventory.atp.availability.calculated", 6),
    "AllocationCommittedEvent": ("inventory.atp.allocation.committed", 6),
    "AllocationReleasedEvent": ("inventory.atp.allocation.released", 3),
    "ReservationDeniedEvent": ("inventory.atp.reservation.denied", 6),
    "AllocationBackorderedEvent": ("inventory.atp.allocation.backordered", 6),
}
"""Event type to (topic, partitions) of what we publish. Fixed by the contract, so no setting changes them."""

INPUT_PARTITIONS: Final[Mapping[str, int]] = {
    "StockAvailabilityChangedEvent": 12,
    "ReservationCreatedEvent": 12,
    "ReservationReleasedEvent": 6,
}
"""Event type to the partitions of Inventory Core's topic. Its event types are all that we consume."""


class Source(Protocol):
    """What the settings say of an input topic."""

    @property
    def event(self) -> str:
        """The event type that it carries."""

    @property
    def encoding(self) -> str:
        """``avro`` or ``json``."""

    @property
    def keyed_by_item(self) -> bool:
        """Whether it is keyed by item with the state's partition count already (design section 4)."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it has to be. ``config`` holds what must differ from the broker's defaults."""

    name: str
    partitions: int
    role: Role
    event: str | None = None
    """Event type of its records; None: raw bytes of several kinds."""
    schema_file: str | None = None
    """File name under ``schemas/``; None: its values are not Avro of one event."""
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str | None:
        """Subject in the schema registry; None: it has no schema."""
        return None if self.schema_file is None else f"{self.name}-value"


def catalogue(
    sources: Mapping[str, Source],
    *,
    changes: str = "atp.changes",
    dead_letters: str = "atp.dead-letters",
    state_partitions: int = 12,
    changelogs: Iterable[str] = (),
    origins: str = "atp-stream-origins",
) -> list[TopicSpec]:
    """List every topic in the order of the life of an event: inputs, changes log, changelogs, outputs, dead letters.

    ``sources``: topic name to what the settings say of it. ``changelogs``: names of the tables' changelog topics; they
    and the changes log have as many partitions as the state. ``origins``: where reading of each input topic began.
    """
    return [
        *(_input(name, source, state_partitions) for name, source in sources.items()),
        TopicSpec(
            changes,
            state_partitions,
            "internal",
            # The log of everything accepted, replayable from the first record on: nothing of it may expire.
            config={"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": _LARGER_THAN_AN_INPUT},
        ),
        *(changelog(name, state_partitions) for name in changelogs),
        TopicSpec(origins, 1, "internal", config={"cleanup.policy": "compact"}),
        *(
            TopicSpec(name, partitions, "output", event, SCHEMA_FILES[event])
            for event, (name, partitions) in OUTPUT_TOPICS.items()
        ),
        TopicSpec(
            dead_letters,
            1,
            "internal",
            # Long enough to be looked at after a holiday, and to be redelivered after a correction.
            config={
                "cleanup.policy": "delete",
                "retention.ms": str(90 * _DAY_MS),
                "max.message.bytes": _LARGER_THAN_AN_INPUT,
            },
        ),
    ]


def changelog(name: str, partitions: int) -> TopicSpec:
    """Return the spec of a table's changelog: compacted, and never deleted, as it is the state."""
    return TopicSpec(name, partitions, "changelog", config=_CHANGELOG_CONFIG)


def _input(name: str, source: Source, state_partitions: int) -> TopicSpec:
    partitions = state_partitions if source.keyed_by_item else INPUT_PARTITIONS[source.event]
    schema_file = SCHEMA_FILES[source.event] if source.encoding == "avro" else None
    return TopicSpec(name, partitions, "input", source.event, schema_file)
