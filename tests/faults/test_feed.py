"""The feed: events of every kind, the same from the same seed, and none lost while a broker is away."""

import random
from collections import Counter
from pathlib import Path

from atp_stream.local import LocalCluster
from tests.cluster import create_topic
from tests.pipeline.core import CREATED, RELEASED, STOCK, schema_named, writer_schema
from tests.pipeline.log import Entry, read
from tests.pipeline.publishing import Publisher, Source
from tests.pipeline.waiting import until

from .admission import Admission
from .admission import Event as Accepted
from .feed import Feed
from .feed_events import Made, Maker

SOURCES = {
    "s": Source(STOCK, 2),
    "c": Source(CREATED, 2),
    "r": Source(RELEASED, 1),
    "k": Source(STOCK, 2, "avro", True),
}


def publisher(servers: str = "nowhere", prefix: str = "") -> Publisher:
    made = Publisher(servers, {f"{prefix}{name}": source for name, source in SOURCES.items()}, "tenant")
    for number, (topic, source) in enumerate(made.sources.items()):
        for plain in (False, True):
            made.schema_ids[topic, plain] = schema_id = 2 * number + plain
            made.schemas[schema_id] = writer_schema(source.event) if plain else schema_named(source.event)
    return made


def made_by(seed: int, count: int) -> list[Made]:
    maker = Maker(publisher(), random.Random(seed), items=20)
    return [maker.make() for _ in range(count)]


def test_given_a_seed_when_events_are_made_then_they_are_the_same_every_time() -> None:
    assert made_by(1, 500) == made_by(1, 500)
    assert made_by(1, 500) != made_by(2, 500)


def test_given_a_feed_when_it_has_made_a_few_thousand_then_there_is_some_of_every_kind() -> None:
    source = publisher()
    admission = Admission(source.schemas)
    bad: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    created: set[str] = set()
    for made in made_by(3, 10_000):
        headers = tuple((name, value) for name, value in made.headers.items())
        found = admission.decide(Entry(made.topic, 0, 0, made.key, made.value, headers), None, "avro")
        seen["traced"] += "traceparent" in made.headers
        if not isinstance(found, Accepted):
            bad.update(found)
            continue
        kind, fields = found
        ids[fields["eventId"]] += 1
        reservation = fields.get("reservationId", "")
        seen[kind] += 1
        seen["shared"] += kind == STOCK and fields.get("channel") is None
        seen["dedicated"] += kind == STOCK and fields.get("channel") is not None
        seen["keyed"] += made.topic == "k"
        seen["plain"] += source.schema_ids[made.topic, True] == int.from_bytes((made.value or b"")[1:5], "big")
        seen["early release"] += kind == RELEASED and reservation not in created
        seen["unknown item"] += fields["itemId"].startswith("none-")
        created |= {reservation} if kind == CREATED else set()
    assert min(seen.values()) > 20, seen
    assert sum(count > 1 for count in ids.values()) > 50  # the same event twice
    assert 20 < sum(bad.values()) < 120
    assert bad.keys() >= {
        "NULL_VALUE",
        "NOT_AVRO",
        "UNKNOWN_SCHEMA_ID",
        "EMPTY_ID",
        "ID_TOO_LONG",
        "NEGATIVE_TIMESTAMP",
    }


def test_given_another_maker_when_it_goes_on_then_its_items_are_new() -> None:
    source, choose = publisher(), random.Random(5)
    rounds = []
    for _ in range(2):
        maker = Maker(source, choose, items=5)
        values = [maker.make().value or b"" for _ in range(200)]
        admission = Admission(source.schemas)
        found = [admission.decide(Entry("s", 0, 0, None, value, ()), None, "avro") for value in values]
        rounds.append({each.fields["itemId"] for each in found if isinstance(each, Accepted)})
    assert not rounds[0] & rounds[1]


def test_given_a_broker_that_is_killed_when_it_is_back_then_all_that_was_made_has_arrived(tmp_path: Path) -> None:
    with LocalCluster.start(tmp_path / "own", owned=True) as own:
        source = publisher(own.bootstrap_servers, "feed-")
        for topic, each in source.sources.items():
            create_topic(own.bootstrap_servers, topic, each.partitions or 1)
        with Feed(source, seed=1, rate=500) as feed:
            until("it is under way", lambda: feed.made > 200)
            own.kafka.kill()
            before = feed.made
            until("it goes on", lambda: feed.made > before + 200)
            own.kafka.start()
        entries = read(own.bootstrap_servers, source.sources)
        own.stop(wipe=True)
    assert feed.undelivered == 0
    assert len(entries) == feed.made
