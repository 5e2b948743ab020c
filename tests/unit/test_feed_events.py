"""The made-up Inventory Core: the same again with the same seed, plausible, and broken only where it says so."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.errors import BadInput, ErrorClass
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.keys import item_key
from atp_stream.domain.decide import Outcome, decide
from atp_stream.domain.events import ReservationCreated, ReservationReleased, StockAvailabilityChanged
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import NEW_ITEM, ItemState, Reservation
from atp_stream.settings import SourceTopic
from atp_stream.tools.feed_catalogue import TENANTS
from atp_stream.tools.feed_core import InventoryCore
from atp_stream.tools.feed_events import FeedEvent, Flaw, Trait
from atp_stream.tools.feed_records import UNKNOWN_SCHEMA_ID, RecordMaker, Writer, core_schemas
from tests.contract.samples import CREATED, OLD_IDS, RELEASED, SCHEMA_IDS, STOCK, Registry

CHANNELS = ("POS", "ECOM", "WHOLESALE", "MARKETPLACE")
EVENTS = (STOCK, CREATED, RELEASED)
TOPICS = {f"topic.{event}": event for event in EVENTS}
# What each flaw is taken for by the decoder.
IN_AVRO = {
    Flaw.GARBAGE: ErrorClass.NOT_AVRO,
    Flaw.TRUNCATED: ErrorClass.NOT_AVRO,
    Flaw.NO_VALUE: ErrorClass.NULL_VALUE,
    Flaw.UNKNOWN_SCHEMA: ErrorClass.UNKNOWN_SCHEMA_ID,
    Flaw.ZERO_QUANTITY: ErrorClass.QUANTITY_NOT_POSITIVE,
    Flaw.EMPTY_ID: ErrorClass.EMPTY_ID,
}
IN_JSON = {
    **IN_AVRO,
    Flaw.GARBAGE: ErrorClass.NOT_JSON,
    Flaw.TRUNCATED: ErrorClass.NOT_JSON,
    Flaw.UNKNOWN_SCHEMA: ErrorClass.WRONG_EVENT_TYPE,
}
# The registry that Core's writers have put their schemas into.
TEXTS = {
    schema_id: json.dumps(schema)
    for event in EVENTS
    for schema_id, schema in zip((OLD_IDS[event], SCHEMA_IDS[event]), core_schemas(event), strict=True)
}
WRITERS = {
    topic: tuple(
        Writer(schema_id, schema)
        for schema_id, schema in zip((OLD_IDS[event], SCHEMA_IDS[event]), core_schemas(event), strict=True)
    )
    for topic, event in TOPICS.items()
}


def ticking() -> Callable[[], int]:
    times = count(1_700_000_000_000, 20)
    return lambda: next(times)


def core(seed: int = 1, items: int = 30, bad_percent: float = 5.0) -> InventoryCore:
    return InventoryCore(seed=seed, items=items, channels=CHANNELS, bad_percent=bad_percent, clock=ticking())


def some(made: InventoryCore, number: int) -> list[FeedEvent]:
    return [*made.opening(), *islice(made.events(), number)]


def maker(encoding: str = "avro", *, keyed_by_item: bool = False) -> RecordMaker:
    sources = {
        topic: SourceTopic.model_validate({"event": event, "encoding": encoding, "keyed_by_item": keyed_by_item})
        for topic, event in TOPICS.items()
    }
    return RecordMaker(sources, WRITERS)


@pytest.fixture(scope="module")
def decoder() -> InputDecoder:
    made = InputDecoder(Registry(TEXTS).fetch)
    asyncio.run(made.resolve([*TEXTS, UNKNOWN_SCHEMA_ID]))
    return made


seeds = st.integers(min_value=0, max_value=2**64)


@given(seeds, st.integers(1, 50), st.floats(0, 100))
def test_the_same_seed_gives_the_same_events(seed: int, items: int, bad_percent: float) -> None:
    assert some(core(seed, items, bad_percent), 100) == some(core(seed, items, bad_percent), 100)


def test_another_seed_gives_other_events_with_other_ids() -> None:
    ids = [{made.event.event_id for made in some(core(seed), 500)} for seed in (1, 2)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(("encoding", "refusals"), [("avro", IN_AVRO), ("json", IN_JSON)])
@given(seed=seeds)
def test_good_events_arrive_as_they_were_made_and_bad_ones_are_refused_for_what_is_wrong(
    decoder: InputDecoder, encoding: Literal["avro", "json"], refusals: dict[Flaw, ErrorClass], seed: int
) -> None:
    records = maker(encoding)
    for made in some(core(seed, bad_percent=30), 60):
        record = records.make(made)
        if made.flaw is None:
            assert decoder.decode(TOPICS[record.topic], encoding, record.value) == made.event
        else:
            with pytest.raises(BadInput) as caught:
                decoder.decode(TOPICS[record.topic], encoding, record.value)
            assert caught.value.error_class == refusals[made.flaw]


def test_events_go_to_the_topic_of_their_kind_under_keys_of_cores_own() -> None:
    made = core()
    for one in some(made, 300):
        record = maker().make(one)
        assert TOPICS[record.topic] == f"{type(one.event).__name__}Event"
        assert record.key != item_key(one.event.tenant_id, one.event.item_id)


def test_a_topic_that_promises_so_is_keyed_by_item() -> None:
    for made in some(core(), 300):
        record = maker(keyed_by_item=True).make(made)
        assert record.key == item_key(made.event.tenant_id, made.event.item_id)


def test_core_writes_with_both_of_its_schemas() -> None:
    ids = Counter(
        record.value[1:5]
        for made in some(core(bad_percent=0), 2_000)
        if (record := maker().make(made)).value is not None
    )
    used = {int.from_bytes(schema_id, "big") for schema_id in ids}
    # A release always has a reason, so that the schema without one is not needed.
    assert used == set(TEXTS) - {OLD_IDS[RELEASED]}


def test_a_writer_that_holds_nothing_optional_is_used_where_it_is_the_only_one() -> None:
    topic = f"topic.{CREATED}"
    only = RecordMaker({topic: SourceTopic(event="ReservationCreatedEvent")}, {topic: WRITERS[topic][:1]})
    created = ReservationCreated("e", 1, "t", "r", "i", "l", 100, "POS", reference="SO-1")
    value = only.make(FeedEvent(created)).value
    assert value is not None
    assert value[1:5] == OLD_IDS[CREATED].to_bytes(4, "big")


@pytest.mark.parametrize("items", [1, 2, 30, 300])
def test_it_opens_with_stock_of_every_item(items: int) -> None:
    made = core(items=items)
    opening = [one.event for one in made.opening()]
    assert all(isinstance(event, StockAvailabilityChanged) for event in opening)
    assert len({(event.tenant_id, event.item_id) for event in opening}) == items
    assert {event.tenant_id for event in opening} == set(TENANTS[:items])


def test_items_are_the_same_in_every_run_and_lie_in_shared_and_dedicated_stock() -> None:
    places = [
        [(item.tenant_id, item.item_id, place.location, place.channel) for item in made.items for place in item.places]
        for made in (core(1, 300), core(2, 300))
    ]
    assert places[0] == places[1]
    assert {channel for *_, channel in places[0]} == {*CHANNELS, None}
    by_item = [{place.channel is None for place in item.places} for item in core(1, 300).items]
    assert by_item.count({True}) > 0
    assert by_item.count({False}) > 0
    assert by_item.count({True, False}) > 0


def test_a_few_items_make_most_of_the_demand() -> None:
    wanted = Counter(
        (made.event.tenant_id, made.event.item_id)
        for made in some(core(items=300, bad_percent=0), 10_000)
        if isinstance(made.event, ReservationCreated)
    )
    tenth = sum(number for _, number in wanted.most_common(30))
    assert 0.4 < tenth / wanted.total() < 0.8


@given(seeds)
def test_what_is_repeated_was_there_before_and_what_is_late_is_older_than_what_was_said(seed: int) -> None:
    said: set[str] = set()
    newest: dict[tuple[str, str, str, str | None], int] = {}
    for made in some(core(seed, items=5), 300):
        event = made.event
        if made.trait is Trait.REPEATED:
            assert event.event_id in said
        elif made.flaw is None:
            assert event.event_id not in said
            said.add(event.event_id)
        if isinstance(event, StockAvailabilityChanged) and made.flaw is None:
            place = event.tenant_id, event.item_id, event.location_id, event.channel
            if made.trait is Trait.LATE:
                assert event.timestamp < newest[place]
            elif made.trait is None:
                newest[place] = event.timestamp


def test_there_are_repeated_late_oversold_and_partly_released_ones() -> None:
    made = some(core(), 3_000)
    assert {one.trait for one in made} == {None, *Trait}
    assert {one.flaw for one in made} == {None, *Flaw}
    assert any(isinstance(one.event, StockAvailabilityChanged) and one.event.on_hand < 0 for one in made)
    reasons = {one.event.reason for one in made if isinstance(one.event, ReservationReleased)}
    assert reasons == {"FULFILLED", "CANCELLED", "REDUCED"}


@pytest.mark.parametrize("bad_percent", [0, 10, 100])
def test_as_many_are_broken_as_were_asked_for(bad_percent: float) -> None:
    made = core(bad_percent=bad_percent)
    list(made.opening())
    broken = sum(one.flaw is not None for one in islice(made.events(), 2_000))
    assert broken / 20 == pytest.approx(bad_percent, abs=2)


def test_the_counts_that_are_shown_name_what_an_event_is() -> None:
    stock = StockAvailabilityChanged("e", 1, "t", "i", "l", None, 100)
    assert (FeedEvent(stock).kind, FeedEvent(stock).special) == ("stock changes", None)
    assert FeedEvent(stock, trait=Trait.LATE).special == "late"
    assert FeedEvent(stock, flaw=Flaw.GARBAGE).special == "broken"
    assert {made.kind for made in some(core(), 500)} == set(FeedEvent.KINDS)
    assert {made.special for made in some(core(), 3_000)} == {None, *FeedEvent.SPECIALS}


class Decided:
    """What atp-stream decides about the events, in the order in which they were made."""

    def __init__(self, events: Iterator[FeedEvent] | list[FeedEvent]) -> None:
        self.items: dict[tuple[str, str], ItemState] = {}
        self.outcomes: Counter[Outcome] = Counter()
        reservations: dict[str, Reservation] = {}
        policy = Policy("1", CHANNELS, 0, {})
        for made in events:
            event = made.event
            if made.flaw is not None:
                continue
            name = None if isinstance(event, StockAvailabilityChanged) else event.reservation_id
            key = event.tenant_id, event.item_id
            decision = decide(self.items.get(key, NEW_ITEM), reservations.get(name or ""), event, policy)
            self.items[key] = decision.item
            if decision.reservation is not None and name is not None:
                reservations[name] = decision.reservation
            self.outcomes[decision.outcome] += 1


@given(seeds, st.integers(1, 40), st.integers(0, 600))
def test_its_last_events_leave_nothing_reserved(seed: int, items: int, number: int) -> None:
    made = core(seed, items)
    decided = Decided([*some(made, number), *made.closing()])
    assert all(not reserved for item in decided.items.values() for reserved in item.reserved.values())
    assert list(made.closing()) == []


def test_most_reservations_fit_some_do_not_and_it_stays_so() -> None:
    made = core(items=300)
    early, late = some(made, 5_000), list(islice(made.events(), 20_000))
    outcomes = Decided(early + late).outcomes
    outcomes.subtract(Decided(early).outcomes)
    share = outcomes[Outcome.DENIED] / (outcomes[Outcome.DENIED] + outcomes[Outcome.COMMITTED])
    assert 0.05 < share < 0.3
    assert outcomes[Outcome.RELEASED] > 1_000
    assert outcomes[Outcome.STALE] > 0
    assert outcomes[Outcome.DUPLICATE] > 0
