"""Design section 4, step 2: decode, load, decide, encode; each entry once per batch."""

from dataclasses import replace
from decimal import Decimal

import pytest

from atp_stream.contracts.keys import item_key
from atp_stream.contracts.state_codec import decode_item, decode_reservation
from atp_stream.domain.policy import Policy
from atp_stream.errors import ConfigurationError
from atp_stream.settings import SourceTopic
from atp_stream.stages.decide import Decide, Emit
from atp_stream.streaming.header_names import EscapedName
from atp_stream.streaming.partitioner import partition_of
from tests.contract.samples import CREATED, RELEASED, STOCK, sample
from tests.unit.stages.harness import Consumed, Written, decoder, encoder, run

POLICY = Policy("7", ("ECOM", "POS"), 0, {})
KEY = b"t-1/item-001"
AVRO = [("encoding", b"avro")]


def _decide(mode: Emit = "every_change", claim: SourceTopic | None = None, partitions: int = 12) -> Decide:
    return Decide(decoder(), encoder(), POLICY, mode, claim, partitions)


def _stock(on_hand: str, timestamp: int = 1, **changes: object) -> Consumed:
    value = sample(STOCK, onHand=Decimal(on_hand), timestamp=timestamp, eventId=f"s-{timestamp}", **changes)
    return Consumed(value, KEY, AVRO)


def _reservation(quantity: str, **changes: object) -> Consumed:
    return Consumed(sample(CREATED, quantity=Decimal(quantity), **changes), KEY, AVRO)


def test_given_the_contracts_example_when_decided_in_one_batch_then_events_and_state_follow() -> None:
    written = run(_decide(), [_stock("150.00"), _reservation("30.00")], Written())
    assert written.kinds == ["AvailabilityCalculatedEvent", "AllocationCommittedEvent", "AvailabilityCalculatedEvent"]
    assert written.sequences == [1, 2, 3]
    assert {key for _, _, key, _ in written.produced} == {KEY}
    assert decode_item(written.table.entries[KEY]).reserved == {"ECOM": 3000}
    assert decode_reservation(written.table.entries[KEY + b"/r-1"]).quantity == 3000


def test_given_the_same_in_two_batches_when_decided_then_nothing_differs() -> None:
    one = run(_decide(), [_stock("150.00"), _reservation("30.00")], Written())
    two = run(_decide(), [_reservation("30.00")], run(_decide(), [_stock("150.00")], Written()))
    assert (two.produced, two.table) == (one.produced, one.table)


def test_given_a_duplicate_when_decided_then_neither_event_nor_entry_follows() -> None:
    before = run(_decide(), [_stock("150.00"), _reservation("30.00")], Written())
    after = Written(table=before.table)
    entries = dict(before.table.entries)
    run(_decide(), [_reservation("30.00"), _stock("1.00", timestamp=0)], after)
    assert after.produced == []
    assert after.table.entries == entries


@pytest.mark.parametrize("mode", ["every_change", "latest_per_batch"])
def test_given_inputs_when_decided_then_each_is_noted_with_its_outcome_and_what_went_out(mode: Emit) -> None:
    records = [_stock("150.00"), _reservation("30.00"), _reservation("30.00"), _stock("9.00", timestamp=0)]
    notes = run(_decide(mode), records, Written()).notes
    by_record = [next(note for note in notes if note.record is record) for record in records]
    assert [note.outcome.value for note in by_record] == ["changed", "committed", "duplicate", "stale"]
    assert sorted(output.sequence for note in notes for output in note.outputs) == [
        *range(1, 4 - (mode != "every_change"))
    ]
    assert by_record[0].event.event_id == "s-1"


def test_given_a_refused_input_when_decided_then_nothing_is_noted() -> None:
    written = run(_decide(), [Consumed(b"no Avro", KEY, AVRO)], Written())
    assert (len(written.refused), written.notes) == (1, [])


def test_given_a_trace_when_decided_then_every_event_carries_it() -> None:
    record = Consumed(sample(STOCK), KEY, [*AVRO, ("traceparent", b"00-abc-def-01")])
    written = run(_decide(), [record], Written())
    assert [dict(headers)["traceparent"] for _, _, _, headers in written.produced] == [b"00-abc-def-01"]


def test_given_json_in_the_log_when_decided_then_the_header_says_how_to_read_it() -> None:
    value = (
        b'{"eventType":"StockAvailabilityChangedEvent","eventId":"e-1","timestamp":"2026-01-02T03:04:05Z",'
        b'"aggregateId":"item-001","tenantId":"t-1",'
        b'"payload":{"itemId":"item-001","locationId":"l-1","channel":"ECOM","onHand":150.00}}'
    )
    written = run(_decide(), [Consumed(value, KEY, [("encoding", b"json")])], Written())
    assert written.kinds == ["AvailabilityCalculatedEvent"]


def test_given_on_hand_that_no_decimal_could_carry_in_sum_when_decided_then_it_is_refused_and_nothing_changes() -> None:
    much = "9999999999999999.99"
    written = run(_decide(), [_stock(much), _stock(much, locationId="l-2", timestamp=2)], Written())
    assert [code for _, code, _ in written.refused] == ["QUANTITY_OUT_OF_RANGE"]
    assert written.kinds == ["AvailabilityCalculatedEvent"]


def test_given_latest_per_batch_when_availability_changes_often_then_only_the_newest_goes_out_and_none_is_missing() -> (
    None
):
    batch = [_stock("1.00", 1), _reservation("1.00"), _stock("5.00", 2), _stock("9.00", 3)]
    written = run(_decide("latest_per_batch"), batch, Written())
    assert written.kinds == ["AllocationCommittedEvent", "AvailabilityCalculatedEvent"]
    assert written.sequences == [1, 2]
    every = run(_decide(), batch, Written())
    assert written.produced[-1][1] is not None
    assert decode_item(written.table.entries[KEY]).emitted == decode_item(every.table.entries[KEY]).emitted


def _claimed(key: bytes, partition: int) -> Consumed:
    return Consumed(sample(STOCK), key, partition=partition)


def test_given_a_topic_keyed_by_item_when_the_claim_holds_then_it_is_decided_where_it_lies() -> None:
    stage = _decide(claim=SourceTopic(event="StockAvailabilityChangedEvent", keyed_by_item=True))
    written = run(stage, [_claimed(KEY, partition_of(KEY, 12))], Written())
    assert written.kinds == ["AvailabilityCalculatedEvent"]


@pytest.mark.parametrize(
    ("key", "partition", "named"),
    [
        (b"item-001", partition_of(b"item-001", 12), "its key is b'item-001'"),
        (KEY, (partition_of(KEY, 12) + 1) % 12, "lies in partition"),
    ],
)
def test_given_a_topic_keyed_by_item_when_the_claim_is_wrong_then_the_worker_stops_instead_of_two_states(
    key: bytes, partition: int, named: str
) -> None:
    stage = _decide(claim=SourceTopic(event="StockAvailabilityChangedEvent", keyed_by_item=True))
    with pytest.raises(ConfigurationError) as stopped:
        run(stage, [_claimed(key, partition)], Written())
    assert named in stopped.value.cause
    assert stopped.value.setting == "topics.sources.source.keyed_by_item"


@pytest.mark.parametrize("claim", [None, SourceTopic(event="StockAvailabilityChangedEvent", keyed_by_item=True)])
def test_given_a_header_name_that_was_not_utf8_when_decided_then_the_record_is_refused_and_nothing_changes(
    claim: SourceTopic | None,
) -> None:
    bad = replace(_claimed(KEY, partition_of(KEY, 12)), headers=[*AVRO, (EscapedName("\\xff"), None)])
    written = run(_decide(claim=claim), [bad], Written())
    assert [(record, code) for record, code, _ in written.refused] == [(bad, "HEADER_NAME_NOT_UTF8")]
    assert not written.produced
    assert not written.table.entries


def test_given_a_release_when_decided_then_the_reservations_entry_is_closed() -> None:
    release = Consumed(sample(RELEASED, quantity=Decimal("30.00")), KEY, AVRO)
    written = run(_decide(), [_stock("150.00"), _reservation("30.00"), release], Written())
    assert written.kinds[-2:] == ["AllocationReleasedEvent", "AvailabilityCalculatedEvent"]
    assert decode_reservation(written.table.entries[item_key("t-1", "item-001") + b"/r-1"]).status == "closed"
