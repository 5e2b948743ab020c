"""The schema files: the published contract, and what the design says of the other events."""

import json
import tomllib
from pathlib import Path

import pytest
from fastavro import parse_schema

from atp_stream.contracts.schemas import SCHEMA_FILES, schema_directory, schema_of, schema_text

REPOSITORY = Path(__file__).parents[2]

CONTRACT = {
    "AvailabilityCalculatedSchema.avro": """
{
  "type": "record",
  "name": "AvailabilityCalculatedEvent",
  "namespace": "com.erp.inventory.atp.events",
  "fields": [
    { "name": "eventId", "type": "string" },
    { "name": "timestamp", "type": "long", "logicalType": "timestamp-millis" },
    { "name": "tenantId", "type": "string" },
    { "name": "itemId", "type": "string" },
    { "name": "channel", "type": "string" },
    { "name": "available", "type": { "type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2 } },
    { "name": "reserved", "type": { "type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2 } }
  ]
}
""",
    "AllocationCommittedSchema.avro": """
{
  "type": "record",
  "name": "AllocationCommittedEvent",
  "namespace": "com.erp.inventory.atp.events",
  "fields": [
    { "name": "eventId", "type": "string" },
    { "name": "timestamp", "type": "long", "logicalType": "timestamp-millis" },
    { "name": "tenantId", "type": "string" },
    { "name": "allocationId", "type": "string" },
    { "name": "itemId", "type": "string" },
    { "name": "channel", "type": "string" },
    { "name": "quantity", "type": { "type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2 } }
  ]
}
""",
}

FIELDS = {
    "StockAvailabilityChangedEvent": "eventId timestamp tenantId itemId locationId optional:string:channel onHand",
    "ReservationCreatedEvent": "eventId timestamp tenantId reservationId itemId locationId quantity channel "
    "optional:string:reference optional:int:priority optional:long:expiresAt",
    "ReservationReleasedEvent": "eventId timestamp tenantId reservationId itemId locationId quantity channel "
    "optional:string:reason",
    "AvailabilityCalculatedEvent": "eventId timestamp tenantId itemId channel available reserved",
    "AllocationCommittedEvent": "eventId timestamp tenantId allocationId itemId channel quantity",
    "AllocationReleasedEvent": "eventId timestamp tenantId allocationId itemId channel quantity optional:string:reason",
    "ReservationDeniedEvent": "eventId timestamp tenantId reservationId itemId channel quantity available reason",
    "AllocationBackorderedEvent": "eventId timestamp tenantId reservationId itemId channel quantity available",
}


def _field(description: str) -> dict[str, object]:
    if description.startswith("optional:"):
        _, kind, name = description.split(":")
        return {"name": name, "type": ["null", kind], "default": None}
    if description == "timestamp":
        return {"name": "timestamp", "type": "long", "logicalType": "timestamp-millis"}
    if description in ("onHand", "quantity", "available", "reserved"):
        decimal = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}
        return {"name": description, "type": decimal}
    return {"name": description, "type": "string"}


@pytest.mark.parametrize("file_name", CONTRACT)
def test_contract_schemas_are_those_of_the_contract_to_the_letter(file_name: str) -> None:
    text = (schema_directory() / file_name).read_text(encoding="utf-8")
    assert text.strip() == CONTRACT[file_name].strip()
    event_type = json.loads(text)["name"]
    assert SCHEMA_FILES[event_type] == file_name
    assert schema_text(event_type) == text


@pytest.mark.parametrize("event_type", SCHEMA_FILES)
def test_every_event_has_the_fields_of_the_design_in_their_order(event_type: str) -> None:
    consumed = event_type in ("StockAvailabilityChangedEvent", "ReservationCreatedEvent", "ReservationReleasedEvent")
    assert schema_of(event_type) == {
        "type": "record",
        "name": event_type,
        "namespace": f"com.erp.inventory.{'core' if consumed else 'atp'}.events",
        "fields": [_field(description) for description in FIELDS[event_type].split()],
    }


@pytest.mark.parametrize("event_type", SCHEMA_FILES)
def test_every_schema_is_valid_avro(event_type: str) -> None:
    parse_schema(schema_of(event_type))


def test_there_are_no_other_schema_files() -> None:
    assert {path.name for path in schema_directory().iterdir()} == set(SCHEMA_FILES.values())


def test_schemas_and_every_package_are_part_of_what_gets_installed() -> None:
    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    sources = [path.parent.relative_to(REPOSITORY) for path in REPOSITORY.glob("atp_stream/**/*.py")]
    packages = {".".join(source.parts) for source in sources}
    files = {"atp_stream.web.assets", "atp_stream.web.templates"}  # all that lies there
    assert set(tools["packages"]) == {*packages, *files, "atp_stream.schemas"}
    assert all(tools["package-data"][name] == ["*"] for name in files)
    assert tools["package-dir"] == {"atp_stream.schemas": "schemas"}
    patterns = tools["package-data"]["atp_stream.schemas"]
    assert {path.name for pattern in patterns for path in (REPOSITORY / "schemas").glob(pattern)} == set(
        SCHEMA_FILES.values()
    )
