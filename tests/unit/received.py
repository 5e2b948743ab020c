"""Events that have come out, for tests of what shows them."""

from decimal import Decimal
from typing import Any

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.tools.received import DEAD_LETTER, Received

AVAILABILITY = "AvailabilityCalculatedEvent"
COMMITTED = "AllocationCommittedEvent"
RELEASED = "AllocationReleasedEvent"
DENIED = "ReservationDeniedEvent"

NOON = 1_700_049_600_000


def received(kind: str, item: str = "t/bolt", channel: str = "POS", *, sequence: int = 1, **changes: Any) -> Received:
    """Make an output event. Changes: fields, or `cause`, the id of its cause."""
    tenant, _, name = item.partition("/")
    numbers: dict[str, dict[str, Any]] = {
        AVAILABILITY: {"available": Decimal("7.00"), "reserved": Decimal("3.00")},
        COMMITTED: {"quantity": Decimal("3.00")},
        RELEASED: {"quantity": Decimal("1.50"), "reason": "CANCELLED"},
        DENIED: {"quantity": Decimal("9.00"), "available": Decimal("7.00"), "reason": "INSUFFICIENT_STOCK"},
    }
    cause = changes.pop("cause", f"cause-{sequence}")
    fields = {"timestamp": NOON, "tenantId": tenant, "itemId": name, "channel": channel, **numbers[kind], **changes}
    headers = {"event-type": kind, "causation-id": cause, "sequence": str(sequence), "rules-version": "1"}
    return Received(OUTPUT_TOPICS[kind][0], 1, 17, NOON, item, kind, fields, headers)


def dead_letter(**headers: str) -> Received:
    cause = {"topic": "core.released", "partition": "4", "offset": "12", "error": "NOT_AVRO", "message": "cut off"}
    named = {f"dead-letter-{name}": value for name, value in {**cause, **headers}.items()}
    return Received("dead", 0, 3, NOON, "res-1", DEAD_LETTER, {}, named, b"\x00\xff")
