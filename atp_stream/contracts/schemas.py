"""The Avro schemas of all events, as the files in ``schemas/`` hold them (design section 2, contract)."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

SCHEMA_FILES: Final[Mapping[str, str]] = {
    "StockAvailabilityChangedEvent": "StockAvailabilityChangedSchema.avsc",
    "ReservationCreatedEvent": "ReservationCreatedSchema.avsc",
    "ReservationReleasedEvent": "ReservationReleasedSchema.avsc",
    # The contract names the files of these two.
    "AvailabilityCalculatedEvent": "AvailabilityCalculatedSchema.avro",
    "AllocationCommittedEvent": "AllocationCommittedSchema.avro",
    "AllocationReleasedEvent": "AllocationReleasedSchema.avsc",
    "ReservationDeniedEvent": "ReservationDeniedSchema.avsc",
    "AllocationBackorderedEvent": "AllocationBackorderedSchema.avsc",
}
"""Event type to the file of its schema; the event type is the name of the Avro record."""


def schema_directory() -> Path:
    """Return where the schema files lie: in the installed package, or at the top of the source tree."""
    installed = Path(__file__).parents[1] / "schemas"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "schemas"


@cache
def schema_text(event_type: str) -> str:
    """Return the documented text of the schema of an event. Raises ``KeyError`` for an event that has none."""
    return (schema_directory() / SCHEMA_FILES[event_type]).read_text(encoding="utf-8")


def schema_of(event_type: str) -> dict[str, Any]:
    """Return the schema of an event as a JSON object, with nothing added or left out."""
    schema: dict[str, Any] = json.loads(schema_text(event_type))
    return schema
