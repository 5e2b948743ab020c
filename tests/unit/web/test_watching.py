"""What a worker tells a watcher, tick by tick."""

import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from atp_stream.contracts.keys import item_key
from atp_stream.contracts.state_codec import encode_item
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import ItemState, Stock
from atp_stream.streaming.inspection import NotHere
from atp_stream.web import watching
from atp_stream.web.live import Live, Wanted
from atp_stream.web.models import WorkerInfo
from atp_stream.web.stream_messages import Message
from atp_stream.web.watching import Watching

from .test_live import committed, decided

_URL = "http://127.0.0.1:1"
_ITEM = ItemState({"l-1": {"": Stock(12_00, 1)}}, {"ECOM": 2_00}, {"ECOM": (10_00, 2_00)}, 3)


class Inspection:
    """Has the items of `held`; those of others are not here."""

    partitions = 1
    own_url = _URL

    def __init__(self, held: Sequence[str]) -> None:
        self._held = {item_key("north", item): encode_item(_ITEM) for item in held}

    def workers(self) -> Mapping[str, tuple[int, ...]]:
        return {_URL: (0,)}

    def partition(self, _: int) -> "Inspection":
        if not self._held:
            raise NotHere
        return self

    def get(self, key: bytes) -> bytes | None:
        return self._held.get(key)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "TICK_SECONDS", 0.0)


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
