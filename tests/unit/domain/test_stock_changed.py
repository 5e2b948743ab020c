"""Design section 3, row "stock changed", and the availability that follows from stock alone."""

from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import AvailabilityCalculated
from atp_stream.domain.quantity import MAX, parse_quantity
from tests.scenario import Scenario


def test_given_150_on_hand_and_30_reserved_then_120_are_available() -> None:
    scenario = Scenario()
    scenario.stock(parse_quantity("150"), "ECOM")
    scenario.reserve("r1", parse_quantity("30"), "ECOM")
    assert scenario.outputs[-1].fact == AvailabilityCalculated("ECOM", parse_quantity("120"), parse_quantity("30"))


def test_given_dedicated_stock_then_only_its_channel_may_promise_it() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    scenario.stock(40, "POS")
    assert (scenario.available("ECOM"), scenario.available("POS")) == (100, 40)


def test_given_shared_stock_then_every_channel_may_promise_all_of_it() -> None:
    scenario = Scenario()
    scenario.stock(100)
    assert [scenario.available(c) for c in ("ECOM", "POS", "WHOLESALE", "MARKETPLACE")] == [100, 100, 100, 100]


def test_given_dedicated_and_shared_stock_then_both_are_available_to_the_channel() -> None:
    scenario = Scenario()
    scenario.stock(100)
    scenario.stock(40, "POS")
    assert (scenario.available("ECOM"), scenario.available("POS")) == (100, 140)


def test_given_stock_at_several_locations_then_it_is_summed() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM", location="berlin")
    scenario.stock(40, "ECOM", location="paris")
    assert scenario.available("ECOM") == 140


def test_when_stock_changes_at_a_place_then_it_replaces_what_was_there_and_nothing_else() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM", location="berlin")
    scenario.stock(40, "ECOM", location="paris")
    scenario.stock(7, "POS", location="berlin")
    scenario.stock(60, "ECOM", location="berlin")
    assert (scenario.available("ECOM"), scenario.available("POS")) == (100, 7)


def test_given_an_older_timestamp_than_the_one_held_for_the_place_then_the_input_is_ignored_as_stale() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM", timestamp=10)
    before = scenario.snapshot()
    decision = scenario.stock(70, "ECOM", timestamp=9)
    assert (decision.outcome, decision.facts) == (Outcome.STALE, ())
    assert scenario.snapshot() == before


def test_given_an_equal_timestamp_then_the_later_in_the_log_wins() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM", timestamp=10)
    assert scenario.stock(70, "ECOM", timestamp=10).outcome is Outcome.CHANGED
    assert scenario.available("ECOM") == 70


def test_timestamps_are_compared_per_location_and_channel_or_shared() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM", location="berlin", timestamp=10)
    scenario.stock(50, "ECOM", location="paris", timestamp=3)
    scenario.stock(20, "POS", location="berlin", timestamp=2)
    scenario.stock(7, None, location="berlin", timestamp=1)
    assert (scenario.available("ECOM"), scenario.available("POS")) == (157, 27)


def test_a_stock_change_that_is_in_time_moves_the_timestamp_even_where_the_quantity_stays() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM", timestamp=10)
    assert scenario.stock(100, "ECOM", timestamp=20).facts == ()
    assert scenario.stock(70, "ECOM", timestamp=15).outcome is Outcome.STALE


def test_given_negative_dedicated_stock_then_nothing_is_available_and_shared_stock_is_untouched() -> None:
    scenario = Scenario()
    scenario.stock(-30, "ECOM")
    assert scenario.available("ECOM") == 0
    scenario.stock(100)
    assert (scenario.available("ECOM"), scenario.available("POS")) == (100, 100)


def test_given_a_location_oversold_then_it_takes_from_the_same_channel_at_other_locations() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM", location="berlin")
    scenario.stock(-30, "ECOM", location="paris")
    assert scenario.available("ECOM") == 70


def test_given_negative_shared_stock_then_only_dedicated_stock_is_available() -> None:
    scenario = Scenario()
    scenario.stock(-30)
    scenario.stock(40, "POS")
    assert (scenario.available("ECOM"), scenario.available("POS")) == (0, 40)


def test_given_stock_falls_below_what_is_reserved_then_commitments_stay_and_nothing_is_available() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    scenario.reserve("r1", 80)
    scenario.stock(50, "ECOM")
    assert (scenario.available("ECOM"), scenario.reserved("ECOM")) == (0, 80)
    scenario.stock(90, "ECOM")
    assert (scenario.available("ECOM"), scenario.reserved("ECOM")) == (10, 80)


def test_given_dedicated_stock_falls_then_its_reservations_use_shared_stock_before_any_channel_may_promise_it() -> None:
    scenario = Scenario()
    scenario.stock(100, "ECOM")
    scenario.stock(100)
    scenario.reserve("r1", 80)
    assert scenario.available("POS") == 100
    scenario.stock(50, "ECOM")
    assert (scenario.available("ECOM"), scenario.available("POS")) == (70, 70)


def test_given_the_sum_of_all_places_would_leave_the_range_then_the_input_is_refused_and_names_no_channel() -> None:
    scenario = Scenario()
    scenario.stock(MAX - 5, "ECOM")
    before = scenario.snapshot()
    decision = scenario.stock(6, "POS", location="paris")
    assert (decision.outcome, decision.facts) == (Outcome.OUT_OF_RANGE, ())
    assert scenario.snapshot() == before
    assert scenario.stock(-6, "POS", location="paris").outcome is Outcome.OUT_OF_RANGE
    assert scenario.stock(-5, "POS", location="paris").outcome is Outcome.CHANGED


def test_given_stock_at_the_edge_of_the_range_then_a_change_that_lowers_it_is_taken() -> None:
    scenario = Scenario()
    scenario.stock(MAX, "ECOM")
    assert scenario.available("ECOM") == MAX
    assert scenario.stock(MAX - 1, "ECOM").outcome is Outcome.CHANGED
    assert scenario.stock(1, "POS").outcome is Outcome.CHANGED
