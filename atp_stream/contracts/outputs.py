"""Events to the bytes that consumers read: topic, Avro value, headers (design section 2.3, contract)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final, NamedTuple

from fastavro import schemaless_writer

from atp_stream.contracts.avro import Json, header, raw_schema
from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.keys import item_key
from atp_stream.contracts.schemas import schema_of
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

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


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


def cloud_event_constants(event_type: str, application_id: str) -> dict[str, str]:
    """Return the CloudEvents headers that are the same for all events of a type.

    No `ce_dataschema`: the id in front of the value names the schema, and a registry's address would make the bytes
    that go out depend on where the worker runs.
    """
    return {
        "ce_specversion": "1.0",
        "ce_source": f"/atp-stream/{application_id}",
        "ce_type": f"{schema_of(event_type)['namespace']}.{event_type}",
        "content-type": "application/avro",
    }


def _cloud_event(output: OutputEvent) -> Headers:
    """Return the CloudEvents headers that differ from event to event."""
    time = (_EPOCH + output.timestamp * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [
        ("ce_id", output.event_id.encode()),
        ("ce_subject", item_key(output.tenant_id, output.item_id)),
        ("ce_time", time.encode()),
    ]


class _Kind(NamedTuple):
    topic: str
    header: bytes
    schema: Json
    event_type: tuple[str, bytes]
    fields: Callable[[Any], dict[str, Any]]
    cloud_event: Headers | None


def _kind(fact_type: type[Fact], schema_ids: Mapping[str, int], cloud_events: str | None) -> _Kind:
    topic, _ = OUTPUT_TOPICS[fact_type.kind]
    constants = None if cloud_events is None else cloud_event_constants(fact_type.kind, cloud_events)
    return _Kind(
        topic,
        header(schema_ids[f"{topic}-value"]),
        raw_schema(fact_type.kind),
        ("event-type", fact_type.kind.encode()),
        _FIELDS[fact_type],
        None if constants is None else [(name, value.encode()) for name, value in constants.items()],
    )


class OutputEncoder:
    """Encodes output events; knows the ids under which their schemas are registered."""

    def __init__(self, schema_ids: Mapping[str, int], cloud_events: str | None = None) -> None:
        """``schema_ids``: subject to id, for all output topics. Raises ``KeyError`` if one is missing.

        ``cloud_events``: the application id, if outputs are to be CloudEvents too.
        """
        self._kinds: Final = {fact_type: _kind(fact_type, schema_ids, cloud_events) for fact_type in _FIELDS}

    def encode(self, output: OutputEvent, traceparent: bytes | None = None) -> tuple[str, bytes, Headers]:
        """Return (topic, value, headers); the key is the item key.

        The value is in the Confluent wire format. The headers, in UTF-8 and in this order: event-type, causation-id,
        sequence (decimal digits), rules-version, and ``traceparent`` as the input had it; then, where asked for, those
        of CloudEvents in binary mode. The same event gives the same bytes.
        """
        topic, prefix, schema, event_type, fields, cloud_event = self._kinds[type(output.fact)]
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
        if cloud_event is not None:
            headers += cloud_event
            headers += _cloud_event(output)
        return topic, stream.getvalue(), headers
