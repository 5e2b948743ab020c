"""Design section 3, row "reservation released"."""

import pytest

from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import AllocationReleased, AvailabilityCalculated
from atp_stream.domain.ids import allocation_id
from atp_stream.domain.state import Reservation
from tests.scenario import ITEM, TENANT, Scenario

ALLOCATION = allocation_id(TENANT, ITEM, "r1")


@pytest.fixture
def committed() -> Scenario:
    """100 on hand for ECOM, 30 of them committed to r1."""
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    scenario.reserve("r1", 30)
    return scenario


@pytest.mark.parametrize("quantity", [30, 31, 1000])
def test_given_not_less_than_what_is_left_then_all_of_it_is_given_back(committed: Scenario, quantity: int) -> None:
    decision = committed.release("r1", quantity, reason="CANCELLED")
    assert decision.outcome is Outcome.RELEASED
    assert decision.facts == (
        AllocationReleased(ALLOCATION, "ECOM", 30, "CANCELLED"),
        AvailabilityCalculated("ECOM", 100, 0),
    )
    assert committed.reservations["r1"] == Reservation("closed", "ECOM", 0, ALLOCATION)


def test_given_less_than_what_is_left_then_so_much_is_given_back_and_the_rest_stays_committed(
    committed: Scenario,
) -> None:
    decision = committed.release("r1", 12, event_id="part-1")
    assert decision.facts == (
        AllocationReleased(ALLOCATION, "ECOM", 12, None),
        AvailabilityCalculated("ECOM", 82, 18),
    )
    assert committed.reservations["r1"] == Reservation("committed", "ECOM", 18, ALLOCATION, ("part-1",))


def test_given_partial_releases_then_the_last_gives_back_only_what_is_left(committed: Scenario) -> None:
    committed.release("r1", 12)
    committed.release("r1", 10)
    decision = committed.release("r1", 10)
    assert decision.facts[0] == AllocationReleased(ALLOCATION, "ECOM", 8, None)
    assert committed.reservations["r1"] == Reservation("closed", "ECOM", 0, ALLOCATION)
    assert (committed.available("ECOM"), committed.reserved("ECOM")) == (100, 0)


def test_given_a_partial_release_delivered_again_then_it_is_given_back_once(committed: Scenario) -> None:
    committed.release("r1", 12, event_id="part-1")
    committed.release("r1", 5, event_id="part-2")
    before = committed.snapshot()
    for event_id in ("part-1", "part-2"):
        decision = committed.release("r1", 12, event_id=event_id)
        assert (decision.outcome, decision.facts) == (Outcome.DUPLICATE, ())
    assert committed.snapshot() == before


def test_given_it_is_closed_then_a_further_release_is_ignored(committed: Scenario) -> None:
    committed.release("r1", 30)
    before = committed.snapshot()
    decision = committed.release("r1", 30)
    assert (decision.outcome, decision.facts) == (Outcome.DUPLICATE, ())
    assert committed.snapshot() == before


def test_given_a_denied_one_then_it_is_remembered_as_closed_and_nothing_goes_out(committed: Scenario) -> None:
    committed.reserve("r2", 500)
    item = committed.item
    decision = committed.release("r2", 500)
    assert (decision.outcome, decision.facts) == (Outcome.CLOSED, ())
    assert committed.item == item
    assert committed.reservations["r2"].status == "closed"


def test_given_an_unknown_one_then_it_is_remembered_as_closed_and_its_channel_is_not_named() -> None:
    scenario = Scenario()
    decision = scenario.release("r9", 5, "KIOSK")
    assert (decision.outcome, decision.facts) == (Outcome.CLOSED, ())
    assert scenario.reservations["r9"] == Reservation("closed", "KIOSK", 0, None)
    assert scenario.channels() == []
    assert scenario.release("r9", 5, "KIOSK").outcome is Outcome.DUPLICATE


def test_given_a_release_that_names_another_channel_then_the_channel_of_the_reservation_counts(
    committed: Scenario,
) -> None:
    committed.release("r1", 30, "POS")
    assert (committed.available("ECOM"), committed.reserved("ECOM")) == (100, 0)
    assert committed.channels() == ["ECOM"]


def test_given_stock_gone_meanwhile_then_what_is_given_back_covers_the_other_commitments_first(
    committed: Scenario,
) -> None:
    committed.reserve("r2", 50)
    committed.stock(60, "ECOM")
    committed.release("r1", 10)
    assert (committed.available("ECOM"), committed.reserved("ECOM")) == (0, 70)
    committed.release("r1", 20)
    assert (committed.available("ECOM"), committed.reserved("ECOM")) == (10, 50)
