"""What the consumer's client tells of the cluster: fetches without an answer, topics without a leader, none at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from aiokafka.protocol.fetch import FetchRequest

from atp_stream.streaming import reach as module
from atp_stream.streaming.reach import Reach

UNKNOWN = UnknownTopicOrPartitionError.errno
FETCH = FetchRequest(500, 1, 1, 1, [])


def topic(name: str, *leaders: int, code: int = 0) -> Any:
    return code, name, False, [(0, number, leader, [], []) for number, leader in enumerate(leaders)]


@dataclass
class Client:
    """Answers the metadata it is told to; a broker that is down refuses, one that hangs never answers."""

    topics: Sequence[Any]
    down: set[int] = field(default_factory=set)
    hung: set[int] = field(default_factory=set)
    requests: list[Any] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    @property
    def cluster(self) -> Any:
        return SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=number) for number in (1, 2)])

    async def send(self, node: int, request: Any) -> Any:
        self.requests.append(request)
        self.asked.append(node)
        if node in self.down:
            raise KafkaConnectionError
        if node in self.hung:
            await asyncio.Event().wait()
        return SimpleNamespace(topics=self.topics)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.01)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


async def test_given_all_topics_with_leaders_when_looked_then_there_is_no_trouble_and_none_is_made() -> None:
    reach, client = Reach(["a", "b"]), Client([topic("a", 1, 2), topic("b", 1)])
    await reach.look(client)
    assert reach.trouble is None
    assert reach.missing == ()
    (request,) = client.requests
    assert request._topics == ["a", "b"]
    assert request._allow_auto_topic_creation is False


async def test_given_one_broker_that_is_away_or_hangs_then_the_other_is_asked() -> None:
    for client in (Client([topic("a", 1)], down={1}), Client([topic("a", 1)], hung={2})):
        reach = Reach(["a"])
        for _ in range(5):
            await reach.look(client)
        assert reach.trouble is None


async def test_given_a_broker_that_answered_then_it_is_asked_first_and_the_one_that_is_away_once_at_most() -> None:
    reach, client = Reach(["a"], Clock()), Client([topic("a", 1)], down={1})
    for _ in range(20):
        await reach.look(client)
    assert client.asked.count(2) == 20
    assert client.asked.count(1) <= 1


async def test_given_an_outage_then_each_broker_is_asked_every_three_seconds_and_the_trouble_stays_meanwhile() -> None:
    clock = Clock()
    reach, client = Reach(["a"], clock), Client([], down={1, 2})
    for _ in range(9):
        await reach.look(client)
        assert reach.trouble is not None
        assert reach.trouble.since == 100.0
        clock.now += 1
    assert sorted(client.asked) == [1, 1, 1, 2, 2, 2]


async def test_given_looks_that_do_not_work_any_more_when_forgotten_then_nothing_old_is_told() -> None:
    reach = Reach(["a", "b"])
    for _ in range(2):
        await reach.look(Client([topic("a", -1), topic("b", code=UNKNOWN)]))
    assert reach.trouble
    assert reach.missing
    reach.forget()
    assert not reach.trouble
    assert not reach.missing


async def test_given_no_broker_that_answers_then_it_is_told_since_the_first_time_until_one_does() -> None:
    clock = Clock()
    reach, client = Reach(["a"], clock), Client([topic("a", 1)], down={1}, hung={2})
    await reach.look(client)
    clock.now += 8
    await reach.look(client)
    assert reach.trouble is not None
    assert (reach.trouble.what, reach.trouble.since) == ("none answers", 100.0)
    client.hung.clear()
    clock.now += 3
    await reach.look(client)
    assert reach.trouble is None


async def test_given_partitions_without_a_leader_then_they_are_named() -> None:
    reach = Reach(["a"])
    await reach.look(Client([topic("a", 1, -1, -1)]))
    assert reach.trouble is not None
    assert reach.trouble.what == "no leader for a[1], a[2]"
    await reach.look(Client([topic("a", *[-1] * 7)]))
    assert reach.trouble.what == "no leader for a[0], a[1], a[2], a[3], a[4] and 2 more"


async def test_given_a_topic_that_two_looks_do_not_find_then_it_is_missing_until_it_is_found() -> None:
    clock = Clock()
    reach = Reach(["a", "b"], clock)
    for expected in ((), ("b",), ("b",)):
        await reach.look(Client([topic("a", 1), topic("b", code=UNKNOWN)]))
        assert reach.missing == expected
    await reach.look(Client([], down={1, 2}))
    assert reach.missing == ("b",)  # nothing new is known
    clock.now += 3
    await reach.look(Client([topic("a", 1), topic("b", 1)]))
    assert not reach.missing


async def test_given_a_fetch_without_an_answer_then_it_is_told_since_it_was_sent() -> None:
    clock, answer = Clock(), asyncio.Event()

    async def send(node: int, request: Any, **options: Any) -> str:
        await answer.wait()
        return "records"

    reach = Reach([], clock)
    fetching = asyncio.ensure_future(reach.watched(send)(1, FETCH))
    other = asyncio.ensure_future(reach.watched(send)(2, "a request that waits for the group, and may"))
    await asyncio.sleep(0)
    clock.now += 9
    assert reach.trouble is not None
    assert (reach.trouble.what, reach.trouble.since) == ("fetches from 1 are not answered", 100.0)
    answer.set()
    assert await fetching == await other == "records"
    assert reach.trouble is None


async def test_given_fetches_that_fail_then_it_is_told_since_the_first_for_as_long_as_they_are_tried() -> None:
    clock = Clock()

    async def send(node: int, request: Any, **options: Any) -> Any:
        raise KafkaConnectionError

    reach = Reach([], clock)
    for _ in range(3):
        with pytest.raises(KafkaConnectionError):
            await reach.watched(send)(1, FETCH)
        assert reach.trouble is not None
        assert reach.trouble.since == 100.0
        clock.now += 2
    clock.now += 2
    assert not reach.trouble  # another broker leads the partitions now
    with pytest.raises(KafkaConnectionError):
        await reach.watched(send)(1, FETCH)
    assert reach.trouble is not None
    assert reach.trouble.since == 108.0


async def test_given_a_fetch_that_is_not_wanted_any_more_then_it_is_no_trouble() -> None:
    async def send(node: int, request: Any, **options: Any) -> None:
        await asyncio.Event().wait()

    reach = Reach([])
    fetching = asyncio.ensure_future(reach.watched(send)(1, FETCH))
    await asyncio.sleep(0)
    assert reach.trouble is not None
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)
    assert reach.trouble is None
