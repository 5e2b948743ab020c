"""Design section 3, row "reservation created", and the reasons of denials."""

import pytest

from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import (
    AllocationCommitted,
    AvailabilityCalculated,
    ReservationDenied,
    ShortageReason,
)
from atp_stream.domain.ids import allocation_id
from atp_stream.domain.policy import ChannelPolicy
from atp_stream.domain.state import Reservation
from tests.scenario import ITEM, TENANT, Scenario, policy


def test_given_no_more_than_is_available_then_it_is_committed_and_availability_follows() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    decision = scenario.reserve("r1", 100)
    allocation = allocation_id(TENANT, ITEM, "r1")
    assert decision.outcome is Outcome.COMMITTED
    assert decision.facts == (AllocationCommitted(allocation, "ECOM", 100), AvailabilityCalculated("ECOM", 0, 100))
    assert scenario.reservations["r1"] == Reservation("committed", "ECOM", 100, allocation)


def test_given_more_than_is_available_then_all_of_it_is_denied() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    decision = scenario.reserve("r1", 101)
    assert decision.outcome is Outcome.DENIED
    assert decision.facts == (ReservationDenied("r1", "ECOM", 101, 100, ShortageReason.INSUFFICIENT_STOCK),)
    assert scenario.reservations["r1"] == Reservation("denied", "ECOM", 101, None)
    assert (scenario.available("ECOM"), scenario.reserved("ECOM")) == (100, 0)


def test_given_a_denial_then_stock_that_comes_later_does_not_commit_it() -> None:
    scenario = Scenario()
    scenario.reserve("r1", 10)
    scenario.stock(100, "ECOM")
    assert (scenario.available("ECOM"), scenario.reserved("ECOM")) == (100, 0)


def test_given_a_channel_never_seen_then_any_code_will_do() -> None:
    scenario = Scenario()
    scenario.stock(100)
    assert scenario.reserve("r1", 60, "KIOSK").outcome is Outcome.COMMITTED
    assert (scenario.available("KIOSK"), scenario.reserved("KIOSK"), scenario.available("POS")) == (40, 60, 40)


def test_given_an_id_already_committed_then_it_is_ignored_as_a_duplicate_whatever_else_it_says() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    scenario.reserve("r1", 30)
    before = scenario.snapshot()
    decision = scenario.reserve("r1", 5, "POS", event_id="another")
    assert (decision.outcome, decision.facts) == (Outcome.DUPLICATE, ())
    assert scenario.snapshot() == before


def test_given_an_id_already_denied_then_it_is_ignored_even_if_it_would_fit_now() -> None:
    scenario = Scenario()
    scenario.reserve("r1", 30)
    scenario.stock(100, "ECOM")
    before = scenario.snapshot()
    assert scenario.reserve("r1", 30).outcome is Outcome.DUPLICATE
    assert scenario.snapshot() == before


@pytest.mark.parametrize("on_hand", [0, 100], ids=["denied", "committed"])
def test_given_an_id_created_and_released_then_it_is_ignored_as_a_duplicate(on_hand: int) -> None:
    scenario = Scenario()
    scenario.stock(on_hand, "ECOM")
    scenario.reserve("r1", 30)
    scenario.release("r1", 30)
    before = scenario.snapshot()
    assert scenario.reserve("r1", 30).outcome is Outcome.DUPLICATE
    assert scenario.snapshot() == before


def test_given_it_was_released_before_it_came_then_it_is_closed_and_nothing_goes_out() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    scenario.release("r1", 30)
    before = scenario.snapshot()
    decision = scenario.reserve("r1", 30)
    assert (decision.outcome, decision.facts) == (Outcome.CLOSED, ())
    assert scenario.snapshot() == before
    assert scenario.reservations["r1"].status == "closed"


def test_the_same_reservation_id_gives_another_allocation_for_another_item_or_tenant() -> None:
    ids = {allocation_id("t1", "i1", "r1"), allocation_id("t1", "i2", "r1"), allocation_id("t2", "i1", "r1")}
    assert len(ids) == 3


# --- denials: 100 shared, 30 of them safety stock, 50 protected for POS, ECOM at most 10 ---


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [
        (11, ShortageReason.CHANNEL_LIMIT),
        (20, ShortageReason.CHANNEL_LIMIT),
        (21, ShortageReason.PROTECTED_FOR_OTHER_CHANNEL),
        (70, ShortageReason.PROTECTED_FOR_OTHER_CHANNEL),
        (71, ShortageReason.SAFETY_STOCK),
        (100, ShortageReason.SAFETY_STOCK),
        (101, ShortageReason.INSUFFICIENT_STOCK),
    ],
)
def test_a_denial_names_the_first_constraint_without_which_it_would_have_fitted(
    quantity: int, reason: ShortageReason
) -> None:
    scenario = Scenario(
        policy(safety_stock=30, POS=ChannelPolicy(protected=50), ECOM=ChannelPolicy(protected=5, limit=10))
    )
    scenario.stock(100)
    assert scenario.available("ECOM") == 10
    (denied,) = scenario.reserve("r1", quantity).facts
    assert denied == ReservationDenied("r1", "ECOM", quantity, 10, reason)


def _reason(scenario: Scenario, quantity: int, channel: str = "ECOM") -> ShortageReason:
    denied = scenario.reserve(f"{channel}-{quantity}", quantity, channel).facts[0]
    assert isinstance(denied, ReservationDenied)
    return denied.reason


def test_given_only_a_limit_and_enough_stock_then_the_limit_bound() -> None:
    scenario = Scenario(policy(ECOM=ChannelPolicy(limit=10)))
    scenario.stock(100, "ECOM")
    assert _reason(scenario, 11) is ShortageReason.CHANNEL_LIMIT


def test_given_a_limit_but_not_enough_stock_either_then_stock_bound() -> None:
    scenario = Scenario(policy(ECOM=ChannelPolicy(limit=10)))
    scenario.stock(100, "ECOM")
    assert _reason(scenario, 101) is ShortageReason.INSUFFICIENT_STOCK


def test_given_only_protection_then_protection_bound() -> None:
    scenario = Scenario(policy(POS=ChannelPolicy(protected=50)))
    scenario.stock(100)
    assert _reason(scenario, 51) is ShortageReason.PROTECTED_FOR_OTHER_CHANNEL


def test_given_only_safety_stock_then_safety_stock_bound() -> None:
    scenario = Scenario(policy(safety_stock=50))
    scenario.stock(100)
    assert _reason(scenario, 51) is ShortageReason.SAFETY_STOCK


def test_given_other_channels_have_reserved_the_stock_then_stock_bound() -> None:
    scenario = Scenario(policy(safety_stock=10))
    scenario.stock(100)
    scenario.reserve("r1", 90, "POS")
    assert _reason(scenario, 11) is ShortageReason.INSUFFICIENT_STOCK


def test_given_dedicated_stock_of_the_channel_then_it_counts_before_the_constraints_on_shared_stock() -> None:
    scenario = Scenario(policy(safety_stock=50))
    scenario.stock(100)
    scenario.stock(20, "ECOM")
    assert scenario.available("ECOM") == 70
    assert _reason(scenario, 120) is ShortageReason.SAFETY_STOCK


def test_given_stock_of_another_channel_only_then_stock_bound() -> None:
    scenario = Scenario()
    scenario.stock(100, "POS")
    assert _reason(scenario, 1, "ECOM") is ShortageReason.INSUFFICIENT_STOCK


def test_given_shared_stock_fell_short_of_the_safety_stock_then_only_what_is_there_counts_without_it() -> None:
    scenario = Scenario(policy(safety_stock=50))
    scenario.stock(20)
    assert _reason(scenario, 20) is ShortageReason.SAFETY_STOCK
    assert _reason(Scenario(scenario.policy), 1) is ShortageReason.INSUFFICIENT_STOCK
    assert _reason(scenario, 21, "POS") is ShortageReason.INSUFFICIENT_STOCK
