"""The rules and invariants of design section 3 over random histories."""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from atp_stream.domain.availability import Balance, supply_of
from atp_stream.domain.decide import Outcome, decide
from atp_stream.domain.emission import Decided, emit, latest_only
from atp_stream.domain.events import (
    AllocationCommitted,
    AllocationReleased,
    AvailabilityCalculated,
    ReservationCreated,
    ReservationReleased,
    StockAvailabilityChanged,
)
from atp_stream.domain.policy import Policy
from atp_stream.domain.pools import pools
from atp_stream.domain.quantity import MAX
from atp_stream.domain.state import NEW_ITEM, ItemState, Stock
from tests.property.histories import CODES, History, Item, histories, policies, run
from tests.property.reference import Figures, Reference, available, plain, reason, units

FEW = settings(max_examples=250, deadline=None)

SIGNED = st.integers(-100, 200)
PLACES = st.dictionaries(
    st.sampled_from(["location-1", "location-2"]),
    st.dictionaries(st.sampled_from(["", *CODES]), st.builds(Stock, SIGNED, st.just(0))),
)
RESERVED = st.dictionaries(st.sampled_from(CODES), st.integers(0, 150))


def _figures(on_hand: Mapping[str, Mapping[str, Stock]], reserved: Mapping[str, int]) -> Figures:
    def total(channel: str) -> Fraction:
        return units(sum(places[channel].on_hand for places in on_hand.values() if channel in places))

    return Figures({c: total(c) for c in CODES}, total(""), {c: units(q) for c, q in reserved.items()})


@settings(max_examples=400, deadline=None)
@given(PLACES, RESERVED, policies(), st.sampled_from(CODES), st.integers(1, 300))
def test_availability_and_reason_are_those_of_the_formula(
    on_hand: dict[str, dict[str, Stock]], reserved: dict[str, int], policy: Policy, channel: str, quantity: int
) -> None:
    balance, figures = Balance(supply_of(on_hand), reserved, policy), _figures(on_hand, reserved)
    may_promise = balance.available(channel)
    assert units(may_promise) == available(figures, policy, channel)
    if quantity > may_promise:
        assert balance.shortage_reason(channel, quantity) == reason(figures, policy, channel, units(quantity))


@settings(max_examples=400, deadline=None)
@given(PLACES, RESERVED, policies())
def test_on_hand_is_available_and_reserved_and_held_back_in_every_channel(
    on_hand: dict[str, dict[str, Stock]], reserved: dict[str, int], policy: Policy
) -> None:
    item, figures = ItemState(on_hand, reserved, {}, 0), _figures(on_hand, reserved)
    for channel, pool in pools(item, policy, CODES).items():
        assert units(pool.on_hand) == figures.dedicated[channel] + figures.shared
        assert units(pool.available) == available(figures, policy, channel)
        assert pool.reserved == reserved.get(channel, 0)
        assert pool.on_hand == pool.available + pool.reserved + pool.held_back.total
        assert min(pool.held_back) >= 0
        assert units(pool.held_back.reserved_by_others) == figures.all_shared_used() - figures.shared_used(channel)


@FEW
@given(histories())
def test_facts_are_those_of_the_plain_reference(history: History) -> None:
    items: dict[str, Item] = {}
    references: dict[str, Reference] = {}
    for event, policy in history:
        item = items.setdefault(event.item_id, Item())
        reference = references.setdefault(event.item_id, Reference())
        decision = item.apply(event, policy)
        assert [plain(fact) for fact in decision.facts] == reference.apply(event, policy)
        statuses = {name: reservation.status for name, reservation in item.reservations.items()}
        assert statuses == {name: seen.status for name, seen in reference.reservations.items()}


@FEW
@given(histories())
def test_reserved_is_the_sum_of_committed_reservations_and_each_one_seen_has_one_status(history: History) -> None:
    items: dict[str, Item] = {}
    seen: dict[str, set[str]] = {}
    for event, policy in history:
        item = items.setdefault(event.item_id, Item())
        item.apply(event, policy)
        ids = seen.setdefault(event.item_id, set())
        if not isinstance(event, StockAvailabilityChanged):
            ids.add(event.reservation_id)
        committed: Counter[str] = Counter()
        for reservation in item.reservations.values():
            assert reservation.status in ("committed", "denied", "closed")
            if reservation.status == "committed":
                assert reservation.quantity > 0
                committed[reservation.channel] += reservation.quantity
        assert item.reservations.keys() == ids
        assert {c: q for c, q in item.state.reserved.items() if q} == committed


@FEW
@given(histories())
def test_a_commitment_keeps_within_availability_limit_safety_stock_and_protection(history: History) -> None:
    items: dict[str, Item] = {}
    for event, policy in history:
        item = items.setdefault(event.item_id, Item())
        before = item.state
        decision = item.apply(event, policy)
        if decision.outcome is not Outcome.COMMITTED:
            continue
        assert isinstance(event, ReservationCreated)
        channel = event.channel
        was, now = (_figures(s.on_hand, s.reserved) for s in (before, item.state))
        assert units(event.quantity) <= available(was, policy, channel)
        pool = policy.by_channel.get(channel)
        if pool is not None and pool.limit is not None:
            assert now.reserved[channel] <= units(pool.limit)
        if now.all_shared_used() > was.all_shared_used():
            left = now.shared - units(policy.safety_stock) - now.all_shared_used()
            kept = [units(p.protected) - now.shared_used(k) for k, p in policy.by_channel.items() if k != channel]
            assert left >= sum((q for q in kept if q > 0), Fraction(0))


@FEW
@given(histories())
def test_a_reservation_event_or_older_stock_delivered_again_changes_nothing(history: History) -> None:
    items = run(history)
    for event, policy in history:
        item = items[event.item_id]
        decision = decide(item.state, item.known(event), event, policy)
        if isinstance(event, StockAvailabilityChanged):
            place = item.state.on_hand[event.location_id]["" if event.channel is None else event.channel]
            if event.timestamp < place.as_of:
                assert (decision.item, decision.facts, decision.outcome) == (item.state, (), Outcome.STALE)
        else:
            assert (decision.item, decision.reservation, decision.facts) == (item.state, None, ())
            assert decision.outcome in (Outcome.DUPLICATE, Outcome.CLOSED)


@FEW
@given(histories())
def test_a_replay_gives_the_same_outputs_and_an_item_does_not_depend_on_the_others(history: History) -> None:
    first, second = run(history), run(history)
    assert first == second
    for item_id, item in first.items():
        alone = run([(event, policy) for event, policy in history if event.item_id == item_id])
        assert alone == {item_id: item}


@FEW
@given(histories())
def test_a_consumer_of_the_events_knows_availability_and_what_is_allocated(history: History) -> None:
    for item in run(history).values():
        told: dict[str, tuple[int, int]] = {}
        allocated: Counter[str] = Counter()
        for output in item.outputs:
            match output.fact:
                case AvailabilityCalculated(channel, may_promise, reserved):
                    assert told.get(channel) != (may_promise, reserved)
                    told[channel] = (may_promise, reserved)
                case AllocationCommitted(_, channel, quantity):
                    allocated[channel] += quantity
                case AllocationReleased(_, channel, quantity, _):
                    allocated[channel] -= quantity
        assert told == item.state.emitted
        assert {c: q for c, q in allocated.items() if q} == {c: r for c, (_, r) in told.items() if r}
        assert [output.sequence for output in item.outputs] == list(range(1, len(item.outputs) + 1))
        assert len({output.event_id for output in item.outputs}) == len(item.outputs)


@FEW
@given(histories(), st.integers(1, 10))
def test_latest_per_batch_tells_less_often_but_never_differently(history: History, size: int) -> None:
    first = [(event, policy) for event, policy in history if event.item_id == "item-0"]
    state, reservations = NEW_ITEM, Item()
    told: dict[str, tuple[int, int]] = {}
    for start in range(0, len(first), size):
        batch, decided = first[start : start + size], list[Decided]()
        for event, policy in batch:
            decision = decide(state, reservations.known(event), event, policy)
            if decision.reservation is not None and isinstance(event, ReservationCreated | ReservationReleased):
                reservations.reservations[event.reservation_id] = decision.reservation
            state = decision.item
            decided.append((event, decision.facts))
        sequence, in_batch = state.sequence, Counter[str]()
        for event, facts in latest_only(decided):
            state, outputs = emit(state, event, facts, batch[0][1])
            for output in outputs:
                sequence += 1
                assert output.sequence == sequence
                if isinstance(output.fact, AvailabilityCalculated):
                    in_batch[output.fact.channel] += 1
                    told[output.fact.channel] = (output.fact.available, output.fact.reserved)
        assert all(times == 1 for times in in_batch.values())
        assert told == state.emitted


@FEW
@given(histories(scale=10**16))
def test_whatever_the_inputs_all_quantities_out_fit_the_contract(history: History) -> None:
    for item in run(history).values():
        for output in item.outputs:
            match output.fact:
                case AvailabilityCalculated(_, may_promise, reserved):
                    assert 0 <= may_promise <= MAX
                    assert 0 <= reserved <= MAX
                case fact:
                    assert 0 < fact.quantity <= MAX
        on_hand = [stock.on_hand for places in item.state.on_hand.values() for stock in places.values()]
        assert sum(abs(quantity) for quantity in on_hand) <= MAX
        assert all(0 <= quantity <= MAX for quantity in item.state.reserved.values())
