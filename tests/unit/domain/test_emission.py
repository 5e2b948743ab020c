"""Design section 3, "Emitting", and the envelope of section 2.3."""

import uuid

from atp_stream.domain.decide import Outcome
from atp_stream.domain.emission import Decided, emit, latest_only
from atp_stream.domain.events import (
    AllocationCommitted,
    AvailabilityCalculated,
    Fact,
    OutputEvent,
    ReservationCreated,
    StockAvailabilityChanged,
)
from atp_stream.domain.ids import NAMESPACE, allocation_id, output_event_id, uuid5
from atp_stream.domain.state import NEW_ITEM
from tests.scenario import CHANNELS, ITEM, TENANT, Scenario, policy


def _available_channels(facts: tuple[Fact, ...]) -> list[str]:
    return [fact.channel for fact in facts if isinstance(fact, AvailabilityCalculated)]


# --- which channels ---


def test_given_only_dedicated_stock_then_the_channels_are_those_that_events_have_named() -> None:
    scenario = Scenario()
    scenario.stock(10, "POS")
    scenario.reserve("r1", 500, "KIOSK")
    assert scenario.channels() == ["KIOSK", "POS"]


def test_once_shared_stock_is_known_all_configured_channels_are_known() -> None:
    scenario = Scenario()
    scenario.stock(10, "KIOSK")
    assert _available_channels(scenario.stock(0).facts) == sorted(CHANNELS)
    assert scenario.channels() == sorted((*CHANNELS, "KIOSK"))


def test_given_a_channel_configured_later_then_the_next_input_emits_it() -> None:
    scenario = Scenario(policy(channels=("POS",)))
    scenario.stock(10)
    scenario.policy = policy(channels=("POS", "ECOM"))
    assert scenario.stock(10).facts == (AvailabilityCalculated("ECOM", 10, 0),)


def test_a_denied_reservation_names_its_channel_and_a_channel_seen_first_always_emits() -> None:
    scenario = Scenario()
    decision = scenario.reserve("r1", 5, "KIOSK")
    assert decision.outcome is Outcome.DENIED
    assert decision.facts[1:] == (AvailabilityCalculated("KIOSK", 0, 0),)


def test_ignored_inputs_name_no_channel() -> None:
    scenario = Scenario()
    scenario.stock(10, "POS", timestamp=5)
    scenario.stock(9, "POS", timestamp=4)
    scenario.reserve("r1", 5, "POS")
    scenario.reserve("r1", 5, "ECOM")
    scenario.release("r2", 5, "WHOLESALE")
    scenario.reserve("r2", 5, "MARKETPLACE")
    assert scenario.channels() == ["POS"]


# --- which events, in which order ---


def test_the_allocation_comes_first_then_availability_in_the_order_of_the_channel_codes() -> None:
    scenario = Scenario()
    scenario.stock(100)
    facts = scenario.reserve("r1", 30, "POS").facts
    assert isinstance(facts[0], AllocationCommitted)
    assert _available_channels(facts[1:]) == sorted(CHANNELS)


def test_only_channels_whose_pair_has_changed_emit() -> None:
    scenario = Scenario()
    scenario.stock(100)
    scenario.stock(5, "POS")
    assert _available_channels(scenario.reserve("r1", 5, "POS").facts) == ["POS"]


def test_a_channel_whose_available_stays_but_whose_reserved_changes_emits() -> None:
    scenario = Scenario()
    scenario.stock(10, "ECOM")
    scenario.reserve("r1", 10)
    scenario.stock(5, "ECOM")
    assert scenario.release("r1", 2).facts[1:] == (AvailabilityCalculated("ECOM", 0, 8),)


def test_given_nothing_has_changed_then_nothing_is_emitted() -> None:
    scenario = Scenario()
    scenario.stock(10, "ECOM")
    assert scenario.stock(10, "ECOM").facts == ()


# --- the envelope ---


def test_sequences_start_at_1_and_have_no_gap() -> None:
    scenario = Scenario()
    scenario.stock(100)
    scenario.stock(90, timestamp=0)
    scenario.reserve("r1", 30, "POS")
    scenario.reserve("r1", 30, "POS")
    scenario.release("r1", 10, "POS")
    assert [output.sequence for output in scenario.outputs] == list(range(1, len(scenario.outputs) + 1))
    assert scenario.item.sequence == len(scenario.outputs) == 4 + 5 + 5


def test_an_output_carries_the_timestamp_and_id_of_its_cause_and_the_version_of_the_rules() -> None:
    scenario = Scenario(policy(version="2024-06"))
    scenario.stock(100, "ECOM", event_id="cause", timestamp=1234)
    assert scenario.outputs == [
        OutputEvent(
            event_id=output_event_id(TENANT, ITEM, "cause", "AvailabilityCalculatedEvent", 1),
            timestamp=1234,
            tenant_id=TENANT,
            item_id=ITEM,
            sequence=1,
            causation_id="cause",
            rules_version="2024-06",
            fact=AvailabilityCalculated("ECOM", 100, 0),
        )
    ]


def test_without_facts_nothing_is_numbered() -> None:
    event = StockAvailabilityChanged("e", 1, TENANT, ITEM, "berlin", "POS", 1)
    assert emit(NEW_ITEM, event, (), policy()) == (NEW_ITEM, ())


def test_event_ids_are_unique_even_where_one_input_event_id_is_used_twice() -> None:
    scenario = Scenario()
    scenario.stock(100, event_id="same")
    scenario.stock(90, event_id="same")
    assert len({output.event_id for output in scenario.outputs}) == len(scenario.outputs) == 8


# --- ids ---


def test_ids_are_version_5_uuids() -> None:
    for number in range(500):
        assert uuid5(f"name-{number}-ü") == str(uuid.uuid5(NAMESPACE, f"name-{number}-ü"))


def test_ids_stay_the_same_from_release_to_release() -> None:
    assert allocation_id("tenant", "item", "reservation") == "04100802-6907-5e31-833b-f4603a1b8fb3"
    assert (
        output_event_id("tenant", "item", "cause", "AvailabilityCalculatedEvent", 7)
        == "7c969908-8661-52d9-964a-30dc4e46d09b"
    )


def test_parts_that_would_join_to_the_same_text_give_different_ids() -> None:
    parts = ["", "1", "1:", ":1", "a", "a:1", "1:a", "11:a", "a1", "/", "a/1"]
    triples = [(t, i, r) for t in parts for i in parts for r in parts]
    assert len({allocation_id(*triple) for triple in triples}) == len(triples)
    assert len({output_event_id(*triple, "Kind", 1) for triple in triples}) == len(triples)


# --- latest_per_batch ---


def test_latest_only_keeps_the_newest_availability_per_channel_and_every_other_fact() -> None:
    first = StockAvailabilityChanged("e1", 1, TENANT, ITEM, "berlin", None, 10)
    second = ReservationCreated("e2", 2, TENANT, "r1", ITEM, "berlin", 4, "POS")
    third = StockAvailabilityChanged("e3", 3, TENANT, ITEM, "berlin", "POS", 5)
    committed = AllocationCommitted("a1", "POS", 4)
    decided: list[Decided] = [
        (first, (AvailabilityCalculated("ECOM", 10, 0), AvailabilityCalculated("KIOSK", 10, 0))),
        (second, (committed, AvailabilityCalculated("ECOM", 6, 0), AvailabilityCalculated("POS", 6, 4))),
        (third, (AvailabilityCalculated("POS", 11, 4),)),
    ]
    assert latest_only(decided) == [
        (first, (AvailabilityCalculated("KIOSK", 10, 0),)),
        (second, (committed, AvailabilityCalculated("ECOM", 6, 0))),
        (third, (AvailabilityCalculated("POS", 11, 4),)),
    ]


def test_latest_only_of_nothing_is_nothing() -> None:
    assert latest_only([]) == []
