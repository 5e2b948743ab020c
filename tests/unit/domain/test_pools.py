"""Design section 3: safety stock, protected quantities and limits in the availability formula."""

import pytest

from atp_stream.domain.decide import Outcome
from atp_stream.domain.policy import ChannelPolicy, Policy
from tests.scenario import Scenario, policy


def test_given_safety_stock_then_it_is_taken_off_shared_stock() -> None:
    scenario = Scenario(policy(safety_stock=30))
    scenario.stock(100)
    assert scenario.available("ECOM") == 70


def test_given_safety_stock_then_dedicated_stock_is_not_touched_by_it() -> None:
    scenario = Scenario(policy(safety_stock=30))
    scenario.stock(40, "POS")
    assert scenario.available("POS") == 40
    scenario.stock(10)
    assert (scenario.available("POS"), scenario.available("ECOM")) == (40, 0)


def test_given_safety_stock_then_no_allocation_consumes_it() -> None:
    scenario = Scenario(policy(safety_stock=30))
    scenario.stock(100)
    assert scenario.reserve("r1", 71).outcome is Outcome.DENIED
    assert scenario.reserve("r2", 70).outcome is Outcome.COMMITTED
    assert scenario.available("POS") == 0


def test_given_own_stock_then_it_is_used_before_shared_stock() -> None:
    scenario = Scenario()
    scenario.stock(100)
    scenario.stock(40, "POS")
    scenario.reserve("r1", 60, "POS")
    assert (scenario.available("POS"), scenario.available("ECOM")) == (80, 80)


def test_given_a_channel_oversold_then_its_reservations_use_no_more_shared_stock_than_they_reserve() -> None:
    scenario = Scenario()
    scenario.stock(100)
    scenario.reserve("r1", 60, "POS")
    scenario.stock(-20, "POS")
    assert (scenario.available("POS"), scenario.available("ECOM")) == (40, 40)


def test_given_a_protected_quantity_then_it_is_kept_from_the_other_channels_only() -> None:
    scenario = Scenario(policy(POS=ChannelPolicy(protected=40)))
    scenario.stock(100)
    assert (scenario.available("POS"), scenario.available("ECOM")) == (100, 60)


def test_when_a_channel_uses_shared_stock_then_its_protected_quantity_is_used_up_first() -> None:
    scenario = Scenario(policy(POS=ChannelPolicy(protected=40)))
    scenario.stock(100)
    scenario.reserve("r1", 30, "POS")
    assert (scenario.available("POS"), scenario.available("ECOM")) == (70, 60)
    scenario.reserve("r2", 30, "POS")
    assert (scenario.available("POS"), scenario.available("ECOM")) == (40, 40)


def test_when_a_channel_uses_its_own_stock_then_its_protected_quantity_stays() -> None:
    scenario = Scenario(policy(POS=ChannelPolicy(protected=40)))
    scenario.stock(100)
    scenario.stock(50, "POS")
    scenario.reserve("r1", 50, "POS")
    assert (scenario.available("POS"), scenario.available("ECOM")) == (100, 60)


def test_given_several_protected_quantities_then_each_channel_is_kept_from_those_of_the_others() -> None:
    scenario = Scenario(policy(POS=ChannelPolicy(protected=40), ECOM=ChannelPolicy(protected=25)))
    scenario.stock(100)
    assert [scenario.available(c) for c in ("POS", "ECOM", "WHOLESALE")] == [75, 60, 35]


def test_given_more_protected_than_there_is_then_the_others_have_nothing_and_none_is_negative() -> None:
    scenario = Scenario(policy(POS=ChannelPolicy(protected=400)))
    scenario.stock(100)
    scenario.stock(5, "ECOM")
    assert (scenario.available("POS"), scenario.available("ECOM"), scenario.available("WHOLESALE")) == (100, 5, 0)


def test_given_a_limit_then_the_channel_never_has_more_reserved() -> None:
    scenario = Scenario(policy(ECOM=ChannelPolicy(limit=50)))
    scenario.stock(100)
    assert (scenario.available("ECOM"), scenario.available("POS")) == (50, 100)
    scenario.reserve("r1", 20)
    assert scenario.available("ECOM") == 30
    assert scenario.reserve("r2", 31).outcome is Outcome.DENIED
    assert scenario.reserve("r3", 30).outcome is Outcome.COMMITTED
    assert (scenario.available("ECOM"), scenario.reserved("ECOM")) == (0, 50)


def test_given_a_limit_above_the_stock_then_the_stock_bounds() -> None:
    scenario = Scenario(policy(ECOM=ChannelPolicy(limit=500)))
    scenario.stock(100)
    assert scenario.available("ECOM") == 100


def test_given_a_limit_of_nothing_then_nothing_is_available() -> None:
    scenario = Scenario(policy(ECOM=ChannelPolicy(limit=0)))
    scenario.stock(100, "ECOM")
    assert scenario.available("ECOM") == 0


def test_given_a_policy_grown_stricter_then_what_is_committed_stays_and_availability_is_not_negative() -> None:
    scenario = Scenario()
    scenario.stock(100)
    scenario.reserve("r1", 80)
    scenario.policy = policy(version="2", safety_stock=50, ECOM=ChannelPolicy(limit=10))
    scenario.stock(100)
    assert (scenario.available("ECOM"), scenario.reserved("ECOM"), scenario.available("POS")) == (0, 80, 0)


def test_given_safety_stock_protection_and_a_limit_together() -> None:
    scenario = Scenario(
        policy(safety_stock=10, POS=ChannelPolicy(protected=40, limit=60), ECOM=ChannelPolicy(protected=20))
    )
    scenario.stock(200)
    scenario.stock(30, "POS")
    scenario.reserve("r1", 50, "POS")  # 30 of its own, 20 shared; 20 stay protected for it
    # free = 200 - 10 - 20 = 170
    assert scenario.available("POS") == 10  # 170 - 20 for ECOM, at most 60 - 50
    assert scenario.available("ECOM") == 150  # 170 - 20 for POS
    assert scenario.available("WHOLESALE") == 130  # 170 - 20 - 20


@pytest.mark.parametrize("negative", [{"protected": -1}, {"limit": -1}])
def test_a_pool_is_never_negative(negative: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is negative: -1"):
        ChannelPolicy(**negative)


def test_safety_stock_is_never_negative() -> None:
    with pytest.raises(ValueError, match="safety stock is negative: -1"):
        Policy("1", (), -1, {})
