"""Bad input on real topics, too much of it, and a bug of ours: what is set aside, and what stops the worker."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.faults.unreadable import GZIP, LZ4, NONE, Unsent, send
from tests.pipeline.buggy_worker import ITEM, MESSAGE
from tests.pipeline.core import CREATED, RELEASED, STOCK, Event
from tests.pipeline.deployment import Deployment
from tests.pipeline.publishing import Source

from .conftest import Deploy

#: The second of Core's topics in JSON.
SOURCES = {"stock": Source(STOCK, 2), "created": Source(CREATED, 2, "json"), "released": Source(RELEASED, 2)}
CAUSE = ("topic", "partition", "offset", "error", "message")


def with_fields(event: Event, **fields: Any) -> Event:
    return Event(event.kind, {**event.fields, **fields})


def bad_avro(deployment: Deployment) -> list[tuple[str, bytes | None]]:
    """Error class and value of records that are no stock event."""
    core, topic = deployment.core, deployment.source(STOCK)
    good = core.stock("item-1", "1.00")
    value = deployment.value(good, topic)
    released = core.released("item-1", "r-1", "1.00")

    def changed(**fields: Any) -> bytes:
        return deployment.value(with_fields(good, **fields), topic)

    return [
        ("NULL_VALUE", None),
        ("NOT_AVRO", b"nonsense"),
        ("NOT_AVRO", b""),
        ("NOT_AVRO", value[:20]),
        ("TRAILING_BYTES", value + b"\x00"),
        ("UNKNOWN_SCHEMA_ID", b"\x00\x3b\x9a\xc9\xff" + value[5:]),
        ("WRONG_EVENT_TYPE", deployment.value(released, deployment.source(RELEASED))),
        ("EMPTY_ID", changed(itemId="")),
        ("ID_TOO_LONG", changed(tenantId="t" * 257)),
        ("ID_NOT_READABLE", changed(locationId="l\x00")),
        ("NEGATIVE_TIMESTAMP", changed(timestamp=-1)),
        ("QUANTITY_OUT_OF_RANGE", value[:-2] + b"\x14" + (10**18).to_bytes(10, "big")),
        ("TOO_LARGE", value + b"\x00" * (300 << 10)),
    ]


def bad_json(deployment: Deployment) -> list[tuple[str, bytes | None]]:
    """Error class and value of records that are no reservation in Core's envelope."""
    good = deployment.core.created("item-1", "r-2", "1.00")
    envelope = json.loads(good.json())

    def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
        copy = json.loads(json.dumps(envelope))
        change(copy)
        return json.dumps(copy).encode()

    return [
        ("NULL_VALUE", None),
        ("NOT_JSON", b"\x00nonsense"),
        ("MISSING_FIELD", changed(lambda e: e["payload"].pop("channel"))),
        ("WRONG_TYPE", changed(lambda e: e["payload"].update(itemId=7))),
        ("MALFORMED_TIMESTAMP", changed(lambda e: e.update(timestamp="yesterday"))),
        ("MALFORMED_QUANTITY", changed(lambda e: e["payload"].update(quantity="0.001"))),
        ("QUANTITY_NOT_POSITIVE", with_fields(good, quantity=Decimal("0.00")).json()),
        ("QUANTITY_NOT_POSITIVE", with_fields(good, quantity=Decimal("-1.00")).json()),
        ("WRONG_EVENT_TYPE", deployment.core.stock("item-1", "1.00").json()),
    ]


def test_given_bad_input_of_each_kind_when_it_comes_then_it_is_set_aside_whole_and_the_good_goes_on(
    deploy: Deploy,
) -> None:
    deployment = deploy(sources=SOURCES)
    core = deployment.core
    deployment.worker().start()
    expected = {}
    for kind, bad in ((STOCK, bad_avro(deployment)), (CREATED, bad_json(deployment))):
        topic = deployment.source(kind)
        for number, (error, value) in enumerate(bad):
            stock, created = core.stock("item-1", f"{number}.00"), core.created("item-1", f"r-{core.made}", "1.00")
            good = stock if kind == STOCK else created
            deployment.raw(topic, deployment.value(good, topic), b"good")
            key = f"bad-{number}".encode()
            deployment.raw(topic, value, key, headers={"own": key, "traceparent": b"00-1-2-01"})
            expected[topic, key] = (error, value)
    deployment.publish(core.stock("item-1", "-5.00", "POS"), core.created("item-1", "r-last", "1.00"))
    (item,) = deployment.verify().values()
    assert item.places["l-1", "POS"][0] == Decimal("-5.00")  # negative stock is not bad input
    letters = deployment.log(deployment.dead_letters)
    assert len(letters) == len(expected)
    sources = {(e.topic, e.partition, e.offset): e for topic in deployment.sources for e in deployment.log(topic)}
    for letter in letters:
        names = [name for name, _ in letter.headers]
        assert names == [*(f"dead-letter-{part}" for part in CAUSE), "own", "traceparent"]
        topic, partition, offset, error, message = (
            (letter.header(f"dead-letter-{part}") or b"").decode() for part in CAUSE
        )
        original = sources[topic, int(partition), int(offset)]
        assert original.key is not None
        assert error == expected[topic, original.key][0], message
        assert message
        assert (letter.key, letter.value, letter.headers[5:]) == (original.key, original.value, original.headers)


def test_given_header_names_that_are_not_utf8_when_they_come_then_their_records_are_set_aside_once_and_the_good_go_on(
    deploy: Deploy,
) -> None:
    deployment = deploy(sources=SOURCES)
    core, stock, created = deployment.core, deployment.source(STOCK), deployment.source(CREATED)
    worker = deployment.worker().start().ready()

    def batch(topic: str, *events: Event) -> list[Unsent]:
        """Of these events every second one has such a name."""
        names = (b"good", b"tr\xe4ce") * len(events)
        values = [deployment.value(event, topic) for event in events]
        return [
            Unsent(b"key-%d" % n, value, [(b"own", b"1"), (name, None)])
            for n, (value, name) in enumerate(zip(values, names, strict=False))
        ]

    for compression in (NONE, GZIP, LZ4):
        events = [core.stock(f"item-{compression}", f"{on_hand}.00", "POS") for on_hand in range(5)]
        send(deployment.servers, stock, 0, batch(stock, *events), compression)
    reservations = [core.created("item-0", f"r-{number}", "1.00", "POS") for number in range(3)]
    send(deployment.servers, created, 1, batch(created, *reservations))
    items = deployment.verify()
    assert [item.places["l-1", "POS"][0] for item in items.values()] == [Decimal("4.00")] * 3
    assert worker.runs
    letters = deployment.log(deployment.dead_letters)
    places = [
        b"/".join(letter.header(f"dead-letter-{part}") or b"" for part in CAUSE[:3]).decode() for letter in letters
    ]
    assert sorted(places) == sorted([f"{created}/1/1", *(f"{stock}/0/{offset}" for offset in (1, 3, 6, 8, 11, 13))])
    sources = {f"{e.topic}/{e.partition}/{e.offset}": e for topic in (stock, created) for e in deployment.log(topic)}
    for place, letter in zip(places, letters, strict=True):
        assert letter.header("dead-letter-error") == b"HEADER_NAME_NOT_UTF8"
        assert letter.header("dead-letter-message") == b"the name of a header is not UTF-8: tr\\xe4ce"
        assert (letter.key, letter.value) == (sources[place].key, sources[place].value)
        assert letter.headers[5:] == (("own", b"1"), ("tr\\xe4ce", None))


def test_given_a_flood_of_bad_input_when_it_is_above_the_rate_then_the_worker_stops_with_nothing_committed(
    deploy: Deploy,
) -> None:
    deployment = deploy(sources=SOURCES, settings={"ATP_WORKER__DEAD_LETTERS_PER_MINUTE": "3"})
    worker = deployment.worker().start().ready()
    topic = deployment.source(STOCK)
    names = [*deployment.sources, deployment.changes]
    before = deployment.committed(names)
    worker.pause()  # so that all of it comes in one batch
    for number in range(4):
        deployment.raw(topic, deployment.value(deployment.core.stock("item-1", f"{number}.00"), topic), b"good", 0)
        deployment.raw(topic, b"nonsense", b"bad", 0)
    deployment.flush()
    worker.resume()
    assert worker.ends() == 65
    assert "error: more than 3 dead letters within a minute" in worker.log()
    assert f"cause: the last one: {topic}[0]@7: NOT_AVRO" in worker.log()
    assert "fix: " in worker.log()
    assert deployment.committed(names) == before
    assert deployment.log(deployment.dead_letters) == deployment.log(deployment.changes) == []
    worker.start(ATP_WORKER__DEAD_LETTERS_PER_MINUTE="100")
    deployment.verify()
    assert len(deployment.log(deployment.dead_letters)) == 4


def test_given_a_bug_in_what_is_decided_when_it_strikes_then_the_worker_stops_and_nothing_is_skipped(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    core = deployment.core
    worker = deployment.worker("w1", command=("-m", "tests.pipeline.buggy_worker")).start().ready()
    deployment.publish(core.stock("item-1", "10.00"))
    deployment.verify()
    before = deployment.committed([deployment.changes])
    deployment.publish_changes(core.stock("item-1", "11.00"), core.stock(ITEM, "12.00"))
    assert worker.ends() == 70
    assert MESSAGE in worker.log()
    assert "error: the worker was ended by a bug; nothing of its last batch was committed" in worker.log()
    (place,) = {e.partition for e in deployment.log(deployment.changes) if e.key == f"{core.tenant}/{ITEM}".encode()}
    after = deployment.committed([deployment.changes])
    assert after[deployment.changes, place] == before[deployment.changes, place]
    deployment.worker("w2").start()  # without the bug
    assert len(deployment.verify()) == 2
