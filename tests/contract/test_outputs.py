"""Events to bytes: the published contract, to the byte."""

from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.contracts.schemas import schema_of
from atp_stream.domain.events import (
    AllocationBackordered,
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    Fact,
    OutputEvent,
    ReservationDenied,
    ShortageReason,
)
from atp_stream.domain.quantity import MAX

IDS = {f"{topic}-value": schema_id for schema_id, (topic, _) in enumerate(OUTPUT_TOPICS.values(), 1)}
ENCODER = OutputEncoder(IDS)
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

GOLDEN: list[tuple[Fact, str, str]] = [
    (
        AvailabilityCalculated("ECOM", 12000, 3000),
        "inventory.atp.availability.calculated",
        "0000000001 066f2d31 90b2cccaef66 06742d31 106974656d2d303031 0845434f4d 042ee0 040bb8",
    ),
    (
        AllocationCommitted("alloc-001", "ECOM", 500),
        "inventory.atp.allocation.committed",
        "0000000002 066f2d31 90b2cccaef66 06742d31 12616c6c6f632d303031 106974656d2d303031 0845434f4d 0401f4",
    ),
    (
        AllocationReleased("alloc-001", "ECOM", 500, "CANCELLED"),
        "inventory.atp.allocation.released",
        "0000000003 066f2d31 90b2cccaef66 06742d31 12616c6c6f632d303031 106974656d2d303031 0845434f4d 0401f4"
        "02 1243414e43454c4c4544",
    ),
    (
        AllocationReleased("alloc-001", "ECOM", 500, None),
        "inventory.atp.allocation.released",
        "0000000003 066f2d31 90b2cccaef66 06742d31 12616c6c6f632d303031 106974656d2d303031 0845434f4d 0401f4 00",
    ),
    (
        ReservationDenied("r-1", "ECOM", 500, 0, ShortageReason.INSUFFICIENT_STOCK),
        "inventory.atp.reservation.denied",
        "0000000004 066f2d31 90b2cccaef66 06742d31 06722d31 106974656d2d303031 0845434f4d 0401f4 0200"
        "24494e53554646494349454e545f53544f434b",
    ),
    (
        AllocationBackordered("r-1", "ECOM", 500, 150),
        "inventory.atp.allocation.backordered",
        "0000000005 066f2d31 90b2cccaef66 06742d31 06722d31 106974656d2d303031 0845434f4d 0401f4 040096",
    ),
]


def output(fact: Fact) -> OutputEvent:
    return OutputEvent("o-1", 1767323045000, "t-1", "item-001", 7, "e-1", "rules-3", fact)


@pytest.mark.parametrize(("fact", "topic", "value"), GOLDEN)
def test_each_event_has_the_documented_bytes_and_topic(fact: Fact, topic: str, value: str) -> None:
    assert ENCODER.encode(output(fact))[:2] == (topic, bytes.fromhex(value))


@pytest.mark.parametrize(("fact", "topic", "value"), GOLDEN)
def test_any_avro_reader_reads_the_documented_fields(fact: Fact, topic: str, value: str) -> None:
    encoded = ENCODER.encode(output(fact))[1]
    record: Any = schemaless_reader(BytesIO(encoded[5:]), parse_schema(schema_of(fact.kind)), None)
    assert record["eventId"] == "o-1"
    assert record["timestamp"] == 1767323045000
    assert (record["tenantId"], record["itemId"], record["channel"]) == ("t-1", "item-001", "ECOM")
    if isinstance(fact, AvailabilityCalculated):
        assert (record["available"], record["reserved"]) == (Decimal("120.00"), Decimal("30.00"))


def test_headers_come_in_a_fixed_order() -> None:
    headers = ENCODER.encode(output(AvailabilityCalculated("ECOM", 1, 2)), TRACEPARENT)[2]
    assert headers == [
        ("event-type", b"AvailabilityCalculatedEvent"),
        ("causation-id", b"e-1"),
        ("sequence", b"7"),
        ("rules-version", b"rules-3"),
        ("traceparent", TRACEPARENT),
    ]


def test_without_a_trace_in_the_input_there_is_none_in_the_output() -> None:
    headers = ENCODER.encode(output(AvailabilityCalculated("ECOM", 1, 2)))[2]
    assert [name for name, _ in headers] == ["event-type", "causation-id", "sequence", "rules-version"]


@given(st.integers(-MAX, MAX), st.integers(0, MAX))
def test_decimals_are_those_of_fastavro(available: int, reserved: int) -> None:
    value = ENCODER.encode(output(AvailabilityCalculated("ECOM", available, reserved)))[1]
    stream = BytesIO()
    record = {
        "eventId": "o-1",
        "timestamp": 1767323045000,
        "tenantId": "t-1",
        "itemId": "item-001",
        "channel": "ECOM",
        "available": Decimal(available).scaleb(-2),
        "reserved": Decimal(reserved).scaleb(-2),
    }
    schemaless_writer(stream, parse_schema(schema_of("AvailabilityCalculatedEvent")), record)
    assert value[5:] == stream.getvalue()


@given(st.integers(0, MAX))
def test_decimals_are_minimal(quantity: int) -> None:
    value = ENCODER.encode(output(AllocationCommitted("a", "c", quantity)))[1]
    minimal = next(size for size in range(1, 10) if quantity < 2 ** (8 * size - 1))
    assert value.endswith(bytes([2 * minimal]) + quantity.to_bytes(minimal, "big", signed=True))


def test_a_missing_schema_id_is_found_out_at_the_start() -> None:
    with pytest.raises(KeyError, match=r"inventory\.atp\.reservation\.denied-value"):
        OutputEncoder({subject: number for subject, number in IDS.items() if "denied" not in subject})
