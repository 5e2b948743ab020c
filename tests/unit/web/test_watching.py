"""What a worker tells a watcher, tick by tick."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from atp_stream.contracts.keys import item_key
from atp_stream.contracts.state_codec import encode_item
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import ItemState, Stock
from atp_stream.streaming.inspection import Moving, NotHere
from atp_stream.web import watching
from atp_stream.web.live import Live, Wanted
from atp_stream.web.models import WorkerInfo
from atp_stream.web.stream_messages import Message
from atp_stream.web.watching import Watching

from .test_live import available, committed, decided

_URL = "http://127.0.0.1:1"
_ITEM = ItemState({"l-1": {"": Stock(12_00, 1)}}, {"ECOM": 2_00}, {"ECOM": (10_00, 2_00)}, 3)


class Inspection:
    """Has the items of `held`; those of others are not here. Of partitions that move nothing may be told."""

    partitions = 1
    own_url = _URL
    moves = False

    def __init__(self, held: Sequence[str]) -> None:
        self._held = {item_key("north", item): encode_item(_ITEM) for item in held}

    def workers(self) -> Mapping[str, tuple[int, ...]]:
        return {_URL: (0,)}

    def held(self) -> Mapping[int, "Inspection"]:
        if self.moves:
            raise Moving
        return {0: self} if self._held else {}

    def partition(self, number: int) -> "Inspection":
        held = self.held()
        if number not in held:
            raise NotHere
        return held[number]

    def get(self, key: bytes) -> bytes | None:
        return self._held.get(key)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "TICK_SECONDS", 0.0)
    monkeypatch.setattr(watching, "_STATUS_SECONDS", 0.001)


def watcher(live: Live, *held: str) -> Watching:
    inspection: Any = Inspection(held)
    policy = Policy("1", ("ECOM",), 0, {})
    return Watching(live, inspection, policy, lambda held: WorkerInfo(_URL, "processing", True, held))


async def first(
    watched: Watching, count: int, known: Mapping[str, int] | None, wanted: Wanted | None = None
) -> list[Message]:
    """The first messages that are no word of the worker on itself, after the one that there has to be."""
    found: list[Message] = []
    async with aclosing(watched.watch(wanted or Wanted(), known)) as messages:
        begin = await anext(messages)
        assert begin.event == "worker"
        while len(found) < count:
            message = await anext(messages)
            if message.event != "worker":
                found.append(message)
    return found


async def test_given_changes_then_an_item_is_told_once_as_it_is_now() -> None:
    live = Live()
    live.observe(committed(decided("a"), decided("a"), decided("moved away")))
    (message,) = await first(watcher(live, "a"), 1, {live.run: 0})
    assert (message.event, message.run, message.position) == ("rows", live.run, 3)
    (row,) = json.loads(message.data)["rows"]
    assert (row["itemId"], row["available"], row["reserved"], row["onHand"]) == ("a", 10.0, 2.0, 12.0)


async def test_given_partitions_on_the_move_then_what_changed_before_is_told_when_they_stay() -> None:
    live = Live()
    watching = watcher(live, "a")
    inspection: Any = watching.inspection
    async with aclosing(watching.watch(Wanted(), {live.run: 0})) as messages:
        assert (await anext(messages)).event == "worker"
        inspection.moves = True
        live.observe(committed(decided("a")))
        while_moving = await anext(messages)
        assert (while_moving.event, while_moving.position) == ("worker", 0)
        inspection.moves = False
        while (message := await anext(messages)).event == "worker":
            pass
    assert [row["itemId"] for row in json.loads(message.data)["rows"]] == ["a"]


async def test_given_more_changes_than_are_told_at_once_then_it_says_how_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_MOST_ITEMS", 2)
    live = Live()
    live.observe(committed(*(decided(name) for name in "abc")))
    found = [json.loads(message.data) for message in await first(watcher(live, *"abc"), 2, {live.run: 0})]
    assert [[row["itemId"] for row in each["rows"]] for each in found] == [["a", "b"], ["c"]]
    assert [each["waiting"] for each in found] == [1, 0]


async def test_given_courses_then_a_new_watcher_gets_them_in_parts_between_which_others_have_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_COURSES_AT_ONCE", 2)
    live = Live()
    for value in (100, 200):
        live.observe(committed(*(decided(name, *available(value)) for name in "abc")))
    live.observe(committed(decided("once", *available(1))))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    found = await first(watcher(live, *"abc"), 4, None)
    task.cancel()
    assert [message.event for message in found] == ["events", "courses", "courses", "rows"]
    told = [course for message in found[1:3] for course in json.loads(message.data)["courses"]]
    assert [(course["itemId"], course["available"]) for course in told] == [(name, [1.0, 2.0]) for name in "abc"]
    assert turns >= 2


async def test_given_an_item_that_has_moved_away_then_its_course_is_not_told() -> None:
    live = Live()
    for value in (100, 200):
        live.observe(committed(decided("a", *available(value))))
    async with aclosing(watcher(live).watch(Wanted(), None)) as messages:
        found = [(await anext(messages)).event for _ in range(3)]
    assert found == ["worker", "events", "worker"]


async def test_given_a_watcher_that_the_ring_has_passed_then_it_is_told_to_look_anew_and_goes_on_from_now() -> None:
    live = Live(most=2)
    async with aclosing(watcher(live, "e", "f").watch(Wanted(), {live.run: 0})) as messages:
        assert (await anext(messages)).event == "worker"
        live.observe(committed(*(decided(name) for name in "abcde")))
        behind = await anext(messages)
        assert (behind.event, behind.data, behind.position) == ("reset", b'{"reason":"behind"}', 5)
        live.observe(committed(decided("f")))
        rows = json.loads((await anext(messages)).data)["rows"]
        assert [row["itemId"] for row in rows] == ["f"]


@pytest.mark.parametrize("position", [0, 2, 9])
async def test_given_a_position_that_is_not_known_any_more_then_a_returning_watcher_is_told_so(position: int) -> None:
    live = Live(most=2)
    live.observe(committed(*(decided(name) for name in "abcde")))
    (message,) = await first(watcher(live), 1, {live.run: position})
    assert (message.event, message.data) == ("reset", b'{"reason":"lost"}')


async def test_given_a_run_that_a_returning_watcher_does_not_know_then_all_that_it_did_is_news() -> None:
    live = Live()
    live.observe(committed(decided("a")))
    (message,) = await first(watcher(live, "a"), 1, {"0123abcd": 7})
    assert (message.event, message.position) == ("rows", 1)


async def test_given_a_new_watcher_then_it_gets_what_was_before_and_nothing_that_is_not_wanted() -> None:
    live = Live()
    live.observe(committed(decided("a"), decided("b")))
    found = await first(watcher(live, "a", "b"), 2, None, Wanted(prefix="b"))
    assert [message.event for message in found] == ["events", "rows"]
    assert [row["itemId"] for row in json.loads(found[1].data)["rows"]] == ["b"]
