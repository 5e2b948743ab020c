"""Outputs as CloudEvents, read by CloudEvents' own SDK; without the setting, outputs know nothing of it."""

from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.contracts.records import MAX_TIMESTAMP
from atp_stream.domain.events import AvailabilityCalculated, Fact, OutputEvent
from tests.contract.test_outputs import ENCODER, GOLDEN, IDS, TRACEPARENT, output

CLOUD = OutputEncoder(IDS, "atp-1")


class Bytes(JSONFormat):
    """Leaves the data as it is: it is Avro."""

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:
        return body


@pytest.mark.parametrize(("fact", "topic", "value"), GOLDEN)
def test_given_cloud_events_when_an_output_is_read_by_the_sdk_then_it_is_the_event(
    fact: Fact, topic: str, value: str
) -> None:
    _, encoded, headers = CLOUD.encode(output(fact), TRACEPARENT)
    event = from_binary(KafkaMessage(dict(headers), None, encoded), Bytes())
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": "o-1",
        "source": "/atp-stream/atp-1",
        "type": f"com.erp.inventory.atp.events.{fact.kind}",
        "subject": "t-1/item-001",
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "datacontenttype": "application/avro",
    }
    assert event.get_data() == bytes.fromhex(value)


@pytest.mark.parametrize(("fact", "topic", "value"), GOLDEN)
def test_given_cloud_events_when_an_output_is_encoded_then_all_else_of_it_stays(
    fact: Fact, topic: str, value: str
) -> None:
    plain, cloud = ENCODER.encode(output(fact), TRACEPARENT), CLOUD.encode(output(fact), TRACEPARENT)
    assert cloud[:2] == plain[:2]
    assert cloud[2][: len(plain[2])] == plain[2]
    assert CLOUD.encode(output(fact), TRACEPARENT) == cloud


@given(st.integers(0, MAX_TIMESTAMP), st.text(min_size=1), st.text(min_size=1))
def test_given_any_time_and_ids_when_an_output_is_encoded_then_the_sdk_reads_them(
    timestamp: int, tenant: str, item: str
) -> None:
    fact = AvailabilityCalculated("ECOM", 1, 2)
    _, encoded, headers = CLOUD.encode(OutputEvent("o-1", timestamp, tenant, item, 7, "e-1", "rules-3", fact))
    event = from_binary(KafkaMessage(dict(headers), None, encoded), Bytes())
    assert event.get_time() == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp)
    subject = event.get_subject()
    assert subject is not None
    assert [part.replace("%2F", "/").replace("%25", "%") for part in subject.split("/")] == [tenant, item]
