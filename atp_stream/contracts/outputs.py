"""Events to the bytes that consumers read: topic, Avro value, headers (design section 2.3, contract)."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final, NamedTuple

from fastavro import schemaless_writer

from atp_stream.contracts.avro import Json, header, raw_schema
from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.domain.events import (
    AllocationBackordered,
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    Fact,
    OutputEvent,
    ReservationDenied,
)

Headers = list[tuple[str, bytes]]


def _decimal(quantity: int) -> bytes:
    """Return hundredths as Avro's ``decimal(18,2)``: two's complement, big-endian, no byte more than is needed.

    As long as fastavro makes it, which spends a byte too many on -1.28 and its like; we publish nothing negative.
    """
    return quantity.to_bytes((quantity.bit_length() + 8) >> 3, "big", signed=True)


def _availability(fact: AvailabilityCalculated) -> dict[str, Any]:
    return {"channel": fact.channel, "available": _decimal(fact.available), "reserved": _decimal(fact.reserved)}


def _committed(fact: AllocationCommitted) -> dict[str, Any]:
    return {"allocationId": fact.allocation_id, "channel": fact.channel, "quantity": _decimal(fact.quantity)}


def _released(fact: AllocationReleased) -> dict[str, Any]:
    return {
        "allocationId": fact.allocation_id,
        "channel": fact.channel,
        "quantity": _decimal(fact.quantity),
        "reason": fact.reason,
    }


def _refused(fact: ReservationDenied | AllocationBackordered) -> dict[str, Any]:
    return {
        "reservationId": fact.reservation_id,
        "channel": fact.channel,
        "quantity": _decimal(fact.quantity),
        "available": _decimal(fact.available),
    }


def _denied(fact: ReservationDenied) -> dict[str, Any]:
    return {**_refused(fact), "reason": fact.reason.value}


_FIELDS: Final[Mapping[type[Fact], Callable[[Any], dict[str, Any]]]] = {
    AvailabilityCalculated: _availability,
    AllocationCommitted: _committed,
    AllocationReleased: _released,
    ReservationDenied: _denied,
    AllocationBackordered: _refused,
}


class _Kind(NamedTuple):
    topic: str
    header: bytes
    schema: Json
    event_type: tuple[str, bytes]
    fields: Callable[[Any], dict[str, Any]]


def _kind(fact_type: type[Fact], schema_ids: Mapping[str, int]) -> _Kind:
    topic, _ = OUTPUT_TOPICS[fact_type.kind]
    return _Kind(
        topic,
        header(schema_ids[f"{topic}-value"]),
        raw_schema(fact_type.kind),
        ("event-type", fact_type.kind.encode()),
        _FIELDS[fact_type],
    )


class OutputEncoder:
    """Encodes output events; knows the ids under which their schemas are registered."""

    def __init__(self, schema_ids: Mapping[str, int]) -> None:
        """``schema_ids``: subject to id, for all output topics. Raises ``KeyError`` if one is missing."""
        self._kinds: Final = {fact_type: _kind(fact_type, schema_ids) for fact_type in _FIELDS}

    def encode(self, output: OutputEvent, traceparent: bytes | None = None) -> tuple[str, bytes, Headers]:
        """Return (topic, value, headers); the key is the item key.

        The value is in the Confluent wire format. The headers, in UTF-8 and in this order: event-type, causation-id,
        sequence (decimal digits), rules-version, and ``traceparent`` as the input had it. The same event gives the
        same bytes.
        """
        topic, prefix, schema, event_type, fields = self._kinds[type(output.fact)]
        stream = BytesIO()
        stream.write(prefix)
        schemaless_writer(
            stream,
            schema,
            {
                "eventId": output.event_id,
                "timestamp": output.timestamp,
                "tenantId": output.tenant_id,
                "itemId": output.item_id,
                **fields(output.fact),
            },
        )
        headers = [
            event_type,
            ("causation-id", output.causation_id.encode()),
            ("sequence", b"%d" % output.sequence),
            ("rules-version", output.rules_version.encode()),
        ]
        if traceparent is not None:
            headers.append(("traceparent", traceparent))
        return topic, stream.getvalue(), headers
