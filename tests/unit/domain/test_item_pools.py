"""What each channel of an item has, and what is held back from it, in parts that add up."""

import pytest

from atp_stream.domain.availability import HeldBack
from atp_stream.domain.decide import Decision
from atp_stream.domain.policy import ChannelPolicy
from atp_stream.domain.pools import ChannelPool, available, channels_of, pools
from atp_stream.domain.state import Cause
from tests.scenario import CHANNELS, Scenario, policy

NOTHING = HeldBack(0, 0, 0, 0, 0)


def shown(scenario: Scenario, channel: str) -> ChannelPool:
    return pools(scenario.item, scenario.policy, [channel])[channel]


def test_given_the_contracts_example_then_150_are_on_hand_30_reserved_and_120_available() -> None:
    scenario = Scenario()
    scenario.stock(150, "ECOM")
    scenario.reserve("r1", 30)
    assert shown(scenario, "ECOM") == ChannelPool(150, 150, 30, 120, 0, None, NOTHING)


def test_given_shared_stock_then_each_channel_has_all_of_it_on_hand_and_what_others_took_is_held_back() -> None:
    scenario = Scenario(policy(safety_stock=10, POS=ChannelPolicy(protected=20)))
    scenario.stock(100)
    scenario.stock(5, "ECOM")
    scenario.reserve("r1", 30, "POS")
    ecom = shown(scenario, "ECOM")
    assert (ecom.on_hand, ecom.dedicated, ecom.reserved, ecom.available) == (105, 5, 0, 65)
    assert ecom.held_back == HeldBack(10, 30, 0, 0, 0)
    scenario.release("r1", 25, "POS")
    assert shown(scenario, "ECOM").held_back == HeldBack(10, 5, 15, 0, 0)


def test_given_a_limit_then_what_is_above_it_is_held_back() -> None:
    scenario = Scenario(policy(MARKETPLACE=ChannelPolicy(limit=10)))
    scenario.stock(100)
    scenario.reserve("r1", 4, "MARKETPLACE")
    assert shown(scenario, "MARKETPLACE") == ChannelPool(0, 100, 4, 6, 0, 10, HeldBack(0, 0, 0, 90, 0))


def test_given_stock_that_fell_below_what_is_promised_then_the_channel_is_oversold_by_what_is_short() -> None:
    scenario = Scenario()
    scenario.stock(10)
    scenario.reserve("r1", 8)
    assert not shown(scenario, "ECOM").is_oversold
    scenario.stock(5)
    ecom, pos = shown(scenario, "ECOM"), shown(scenario, "POS")
    assert (ecom.on_hand, ecom.available, ecom.reserved, ecom.held_back.total, ecom.is_oversold) == (5, 0, 8, -3, True)
    assert (pos.on_hand, pos.available, pos.held_back.total, pos.is_oversold) == (5, 0, 5, False)


def test_given_negative_dedicated_stock_then_the_channel_is_oversold() -> None:
    scenario = Scenario()
    scenario.stock(-4, "ECOM")
    assert shown(scenario, "ECOM").held_back == HeldBack(0, 0, 0, 0, 4)
    assert shown(scenario, "ECOM").is_oversold


def test_given_an_item_then_the_channels_of_its_events_and_all_configured_ones_can_be_asked_for() -> None:
    scenario = Scenario()
    scenario.stock(10, "OUTLET")
    assert channels_of(scenario.item, scenario.policy) == tuple(sorted({"OUTLET", *CHANNELS}))
    assert available(scenario.item, scenario.policy, "OUTLET") == 10


@pytest.mark.parametrize(
    ("apply", "expected"),
    [
        (lambda it: it.stock(20, event_id="s2"), Cause("s2", "StockAvailabilityChangedEvent", 3)),
        (lambda it: it.reserve("r2", 1, event_id="c2"), Cause("c2", "ReservationCreatedEvent", 3)),
        (lambda it: it.reserve("r2", 99, event_id="c2"), Cause("c2", "ReservationCreatedEvent", 3)),
        (lambda it: it.release("r1", 1, event_id="x2"), Cause("x2", "ReservationReleasedEvent", 3)),
        (lambda it: it.reserve("r1", 5, event_id="c1"), Cause("c1", "ReservationCreatedEvent", 2)),
        (lambda it: it.stock(20, event_id="s0", timestamp=0), Cause("c1", "ReservationCreatedEvent", 2)),
        (lambda it: it.release("r9", 1, event_id="x9"), Cause("c1", "ReservationCreatedEvent", 2)),
    ],
    ids=["stock", "committed", "denied", "released", "duplicate", "stale", "unknown release"],
)
def test_the_state_says_which_input_last_changed_it(apply: object, expected: Cause) -> None:
    scenario = Scenario()
    scenario.stock(10, event_id="s1")
    scenario.reserve("r1", 5, event_id="c1")
    assert callable(apply)
    assert isinstance(apply(scenario), Decision)
    assert scenario.item.changed == expected
