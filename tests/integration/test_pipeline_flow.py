"""What goes in and what comes out: the contract's example, keying anew, the short cut, thinned output."""

import json
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from fastavro import parse_schema, schemaless_writer

from tests.cluster import register
from tests.pipeline.core import CREATED, RELEASED, STOCK, Event, schema_named
from tests.pipeline.deployment import SOURCES, Deployment
from tests.pipeline.oracle import AVAILABILITY, COMMITTED, OUTPUTS, Policy, by_item, decode_output, replay
from tests.pipeline.publishing import Source

from .conftest import Deploy

PARTITIONS = {"inventory.atp.availability.calculated": 6, "inventory.atp.allocation.committed": 6}
POLICY = Policy("7", ("ECOM", "POS"), Decimal("5.00"), {"POS": Decimal("10.00")}, {"ECOM": Decimal("60.00")})
#: Topics of Core as the product makes them: 12, 12 and 6 partitions.
AS_CONTRACTED = {"stock": Source(STOCK), "created": Source(CREATED), "released": Source(RELEASED)}
KEYED = {**SOURCES, "stock": Source(STOCK, 4, keyed_by_item=True)}


def encoded(deployment: Deployment, kind: str, fields: dict[str, Any]) -> bytes:
    """The value of an output as the contract's schema has it, made by fastavro."""
    schema = schema_named(kind)
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(schema), fields)
    schema_id = register(deployment.registry_url, f"{OUTPUTS[kind]}-value", schema)
    return b"\x00" + schema_id.to_bytes(4, "big") + stream.getvalue()


def test_given_150_on_hand_when_30_are_reserved_then_120_are_available(deploy: Deploy) -> None:
    deployment = deploy()
    core, tenant = deployment.core, deployment.core.tenant
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    deployment.worker().start().ready()
    deployment.publish(core.stock("item-001", "150.00", "ECOM"))
    deployment.settled()
    deployment.publish(core.created("item-001", "r-1", "30.00"), headers={"traceparent": trace})
    deployment.verify()
    outputs = sorted(deployment.outputs(), key=lambda each: int(each.header("sequence") or b""))
    after: dict[str, Any] = {"timestamp": 1767323045002, "tenantId": tenant, "itemId": "item-001", "channel": "ECOM"}
    expected: list[tuple[str, str, dict[str, Any]]] = [
        (AVAILABILITY, "e-1", {**after, "timestamp": 1767323045001, "available": "150.00", "reserved": "0.00"}),
        (COMMITTED, "e-2", {**after, "quantity": "30.00"}),
        (AVAILABILITY, "e-2", {**after, "available": "120.00", "reserved": "30.00"}),
    ]
    assert len(outputs) == len(expected)
    for number, (entry, (kind, cause, fields)) in enumerate(zip(outputs, expected, strict=True), 1):
        ids = {name: value for name, value in decode_output(entry).items() if name in ("eventId", "allocationId")}
        for name in {"available", "reserved", "quantity"} & fields.keys():
            fields[name] = Decimal(fields[name])
        key = f"{tenant}/item-001".encode()
        assert entry.topic == OUTPUTS[kind]
        assert entry.key == key
        assert entry.partition == DefaultPartitioner()(key, list(range(PARTITIONS[entry.topic])), [])
        assert entry.value == encoded(deployment, kind, {**fields, **ids})
        assert entry.headers == (
            ("event-type", kind.encode()),
            ("causation-id", cause.encode()),
            ("sequence", b"%d" % number),
            ("rules-version", b"1"),
            *([("traceparent", trace)] if number > 1 else []),
        )


def test_given_arbitrary_keys_and_partition_counts_when_events_pass_then_each_item_has_one_order(
    deploy: Deploy,
) -> None:
    deployment = deploy(sources=AS_CONTRACTED, partitions=12, policy=POLICY)
    feed = deployment.core.feed(seed=2, items=15)
    deployment.worker().start()
    for number, event in zip(range(400), feed, strict=False):
        deployment.send(event, partition=number % (6 if event.kind == RELEASED else 12))
        if number % 100 == 0:
            deployment.flush()
            deployment.settled()  # so that stock comes before some of its reservations
    deployment.flush()
    items = deployment.verify()
    changes = deployment.log(deployment.changes)
    assert len(changes) == 400
    assert len(items) == 15
    assert len({(entry.key, entry.partition) for entry in changes}) == 15
    for entry in changes:
        assert entry.key is not None
        assert entry.partition == DefaultPartitioner()(entry.key, list(range(12)), [])
    places = [entry.header("source") for entry in changes]
    assert len(set(places)) == 400
    kinds = {each["event-type"] for item in items.values() for each in item.expected}
    assert kinds == set(OUTPUTS)  # the feed is worth something


def test_given_the_json_envelope_when_events_pass_then_the_same_comes_out(deploy: Deploy) -> None:
    sources = {suffix: Source(each.event, each.partitions, "json") for suffix, each in SOURCES.items()}
    deployment = deploy(sources=sources, policy=POLICY)
    deployment.worker().start()
    deployment.publish(*(event for event, _ in zip(deployment.core.feed(3, 5), range(100), strict=False)))
    assert len(deployment.verify()) == 5
    assert {entry.header("encoding") for entry in deployment.log(deployment.changes)} == {b"json"}


def test_given_a_topic_keyed_by_item_when_its_events_pass_then_they_are_not_in_the_changes_log(deploy: Deploy) -> None:
    deployment = deploy(sources=KEYED)
    core = deployment.core
    deployment.worker().start().ready()
    for number in range(20):
        deployment.send(core.stock(f"item-{number}", "10.00", "ECOM"))
    deployment.flush()
    deployment.settled()
    deployment.publish(*(core.created(f"item-{number}", f"r-{number}", f"{number}.00") for number in range(1, 20)))
    items = deployment.verify()
    assert len(items) == 20
    kinds = [len(item.expected) for _, item in sorted(items.items())]
    assert sorted(kinds) == [1] + 9 * [2] + 10 * [3]  # not reserved, denied, committed
    assert {entry.header("source") for entry in deployment.log(deployment.changes)}.isdisjoint({None})
    assert len(deployment.log(deployment.changes)) == 19


def test_given_a_wrong_count_of_a_topic_said_to_be_keyed_by_item_when_a_worker_starts_then_it_refuses(
    deploy: Deploy,
) -> None:
    deployment = deploy(sources=SOURCES)
    topic = next(iter(deployment.sources))
    claimed = json.loads(deployment.environment["ATP_TOPICS__SOURCES"])
    claimed[topic]["keyed_by_item"] = True
    worker = deployment.worker().start(ATP_TOPICS__SOURCES=json.dumps(claimed))
    assert worker.ends() == 65
    assert f"{topic}: partitions is 3, not 4" in worker.log()


@pytest.mark.parametrize("wrong", ["key", "partition"])
def test_given_a_topic_wrongly_said_to_be_keyed_by_item_when_a_record_shows_it_then_the_worker_ends(
    deploy: Deploy, wrong: str
) -> None:
    deployment = deploy(sources=KEYED)
    core, topic = deployment.core, deployment.source(STOCK)
    worker = deployment.worker().start().ready()
    deployment.publish(core.stock("item-1", "10.00"))
    deployment.settled()
    before = deployment.committed([topic, deployment.changes])
    ((place, right),) = [(entry.partition, entry.key) for entry in deployment.log(topic)]
    assert right is not None
    # Behind a right one, in one batch: what has to be found is not always the first of a batch.
    worker.pause()
    others = (core.stock(f"item-{number}", "1.00") for number in range(2, 20))
    foreign = next(event for event in others if home(event) != place)
    deployment.raw(topic, deployment.value(core.stock("item-1", "11.00"), topic), right, place)
    deployment.raw(topic, deployment.value(foreign, topic), b"item" if wrong == "key" else foreign.key.encode(), place)
    deployment.flush()
    worker.resume()
    assert worker.ends() == 78
    assert f"error: {topic} is not keyed by item" in worker.log()
    assert f"setting: topics.sources.{topic}.keyed_by_item" in worker.log()
    assert deployment.committed([topic, deployment.changes]) == before
    assert {entry.key for entry in deployment.outputs()} == {right}


def home(event: Event) -> int:
    """The partition of an event's item, of four."""
    return int(DefaultPartitioner()(event.key.encode(), [0, 1, 2, 3], []))


def test_given_the_mode_latest_per_batch_when_batches_pass_then_numbers_stay_gapless_and_the_last_is_right(
    deploy: Deploy,
) -> None:
    deployment = deploy(policy=POLICY, settings={"ATP_WORKER__EMIT": "latest_per_batch"})
    feed = deployment.core.feed(seed=14, items=3)
    deployment.publish_changes(*(event for event, _ in zip(feed, range(300), strict=False)))
    deployment.worker().start().ready()
    items = replay(deployment.settled(), deployment.schemas, deployment.policy)
    found = by_item(deployment.outputs())
    assert found.keys() == items.keys()
    for key, item in items.items():
        ours = [comparable(each) for each in found[key]]
        theirs = [comparable(each) for each in item.expected]
        assert [each for each in ours if each["event-type"] != AVAILABILITY] == [
            each for each in theirs if each["event-type"] != AVAILABILITY
        ]
        remaining = iter(theirs)
        assert all(each in remaining for each in ours)  # in the same order
        assert len(ours) < len(theirs)
        assert last_by_channel(ours) == last_by_channel(theirs)


def comparable(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("eventId", "allocationId", "sequence")}


def last_by_channel(events: list[dict[str, Any]]) -> dict[str, tuple[Decimal, Decimal]]:
    return {e["channel"]: (e["available"], e["reserved"]) for e in events if e["event-type"] == AVAILABILITY}
