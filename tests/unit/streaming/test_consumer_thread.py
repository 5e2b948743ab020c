"""The consumer's thread looks at the brokers; that it cannot is no reason to end, or to be ended."""

from types import SimpleNamespace
from typing import Any

import pytest

from atp_stream.streaming.consumer_thread import ConsumerThread
from atp_stream.streaming.health import Trouble
from atp_stream.streaming.lag import Lag
from atp_stream.streaming.reach import Reach
from atp_stream.streaming.records import Partition


class Thread:
    """What a look needs of the thread."""

    _look = ConsumerThread._look
    behind = ConsumerThread.behind
    _is_blind = False
    sources = frozenset({"stock"})

    def __init__(self) -> None:
        self.reach = Reach(["stock"])
        self.lag = {Partition("stock", 0): Lag(4, 1.0), Partition("stock", 1): Lag(3, 1.0)}

    def _ensure_consumer(self) -> Any:
        raise KeyError("a connection that another task has closed")


async def test_given_a_look_that_fails_then_it_is_logged_once_and_no_old_finding_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thread: Any = Thread()
    thread.reach._trouble = Trouble("none answers", 1.0)
    assert thread.behind == 7
    for _ in range(3):
        await thread._look()
    assert caplog.text.count("the brokers cannot be looked at") == 1
    assert "a connection that another task has closed" in caplog.text
    assert thread.behind == 0
    assert thread.reach.trouble is None


async def test_given_looks_that_work_again_then_they_are_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    thread: Any = Thread()
    await thread._look()
    subscription = SimpleNamespace(subscription=None)
    client = SimpleNamespace(cluster=SimpleNamespace(brokers=list, partitions_for_topic={"stock": {0, 1}}.get))
    consumer = SimpleNamespace(_subscription=subscription, _client=client)
    monkeypatch.setattr(thread, "_ensure_consumer", lambda: consumer)
    await thread._look()
    assert thread.reach.trouble.what == "none answers"
    assert thread.counts == {"stock": 2}
