"""What a worker remembers of what it has committed, and what a watcher is told of it."""

from collections.abc import Sequence
from typing import Any

import pytest

from atp_stream.domain.decide import Outcome
from atp_stream.domain.events import (
    AllocationCommitted,
    AvailabilityCalculated,
    Fact,
    OutputEvent,
    ReservationCreated,
    ReservationDenied,
    ShortageReason,
)
from atp_stream.stages.notes import Decided
from atp_stream.streaming.committed import Committed
from atp_stream.web import live as live_module
from atp_stream.web.live import MOST_POINTS, Live, Wanted, gather

_RECORD: Any = None  # nobody looks at it here
EVERYTHING = Wanted()


def decided(item: str, *facts: Fact, tenant: str = "north", outcome: Outcome = Outcome.COMMITTED) -> Decided:
    event = ReservationCreated("e-1", 5, tenant, "r-1", item, "l-1", 100, "ECOM")
    outputs = tuple(
        OutputEvent(f"o-{item}-{at}", 5, tenant, item, at + 1, "e-1", "1", fact) for at, fact in enumerate(facts)
    )
    return Decided(_RECORD, event, outcome, outputs)


def committed(*notes: object) -> Committed:
    return Committed({}, notes, (), 0.0, 0.0, 0.0)


def told(live: Live, position: int, wanted: Wanted = EVERYTHING, most: int = 100) -> tuple[list[str], list[str], int]:
    gathered = gather(live, position, wanted, most)
    assert gathered is not None
    items = [item for _, item in gathered.items.values()]
    return items, [event.event_id for event in gathered.events], gathered.position


def allocated(channel: str = "ECOM") -> Fact:
    return AllocationCommitted("a-1", channel, 100)


def available(*values: int, channel: str = "ECOM") -> Sequence[Fact]:
    return [AvailabilityCalculated(channel, value, 0) for value in values]


def test_given_changes_of_one_item_then_it_is_told_once_and_its_events_each() -> None:
    live = Live()
    live.observe(committed(decided("a", allocated(), *available(5)), decided("b"), decided("a", allocated())))
    assert told(live, 0) == (["a", "b"], ["o-a-0", "o-a-0"], 3)
    assert told(live, 3) == ([], [], 3)


def test_given_inputs_that_changed_nothing_then_nothing_is_told() -> None:
    live = Live()
    ignored = (Outcome.STALE, Outcome.DUPLICATE, Outcome.OUT_OF_RANGE)
    live.observe(committed("another's note", *(decided("a", outcome=outcome) for outcome in ignored)))
    assert live.position == 0


def test_given_filters_then_other_items_are_passed_over() -> None:
    live = Live()
    live.observe(
        committed(decided("a-1", allocated()), decided("b-1", allocated("POS")), decided("a-2", tenant="south"))
    )
    assert told(live, 0, Wanted(tenant="north"))[0] == ["a-1", "b-1"]
    assert told(live, 0, Wanted(prefix="a")) == (["a-1", "a-2"], ["o-a-1-0"], 3)
    assert told(live, 0, Wanted(channel="POS"))[1] == ["o-b-1-0"]


def test_given_a_tenant_whose_name_begins_like_another_then_nothing_of_the_other_is_told() -> None:
    live = Live()
    for value in (1, 2):
        live.observe(committed(decided("a", allocated(), *available(value), tenant="north-2")))
    for wanted in (Wanted(tenant="north"), Wanted(tenant="north-22")):
        assert told(live, 0, wanted)[:2] == ([], [])
        assert live.events(wanted, 10) == []
        assert live.courses(wanted) == []


def test_given_more_items_than_fit_then_the_rest_is_told_next() -> None:
    live = Live()
    live.observe(committed(*(decided(name) for name in "abcab")))
    assert told(live, 0, most=2) == (["a", "b"], [], 2)
    assert told(live, 2, most=2) == (["c", "a"], [], 4)
    assert told(live, 4, most=2) == (["b"], [], 5)


def test_when_the_ring_has_moved_on_then_a_watcher_is_told_to_look_anew() -> None:
    live = Live(most=3)
    live.observe(committed(*(decided(name) for name in "abcde")))
    assert gather(live, 1, EVERYTHING, 10) is None
    assert told(live, 2)[0] == ["c", "d", "e"]
    assert not live.reaches(6)


def test_given_a_course_then_it_has_the_last_values_one_for_each_transaction() -> None:
    live = Live()
    for value in range(2 * MOST_POINTS):
        live.observe(committed(decided("a", *available(1_000, value)), decided("b", *available(7, channel="POS"))))
    first, second = ("north", "a", "ECOM"), ("north", "b", "POS")
    assert live.courses(EVERYTHING) == [first, second]
    assert list(live.course(first)) == list(range(MOST_POINTS, 2 * MOST_POINTS))
    assert live.courses(Wanted(channel="POS")) == [second]
    assert live.courses(Wanted(tenant="south")) == []


def test_given_more_courses_than_are_kept_then_the_one_changed_longest_ago_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "MOST_COURSES", 2)
    live = Live()
    for item in ("a", "b", "a", "c"):
        live.observe(committed(decided(item, *available(1))))
    assert [item for _, item, _ in live.courses(EVERYTHING)] == ["a", "c"]
    assert list(live.course(("north", "b", "ECOM"))) == []


def test_given_recent_events_then_the_last_ones_come_oldest_first() -> None:
    live = Live()
    denied = ReservationDenied("r-1", "ECOM", 100, 50, ShortageReason.SAFETY_STOCK)
    live.observe(committed(*(decided(name, allocated(), denied) for name in "abc")))
    assert [event.event_id for event in live.events(EVERYTHING, 3)] == ["o-b-1", "o-c-0", "o-c-1"]
    assert live.events(Wanted(tenant="south"), 3) == []


def test_given_a_new_watcher_then_it_begins_a_little_before() -> None:
    live = Live()
    live.observe(committed(decided("a"), decided("b")))
    assert live.ago(60.0) == 0
    assert Live().ago(60.0) == 0
