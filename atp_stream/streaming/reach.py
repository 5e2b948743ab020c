"""Whether the brokers answer and the topics are there, as the consumer's client finds them.

Two measures. A fetch: the broker answers it within `FETCH_WAIT_MS` even if there is nothing, so one that stays
unanswered tells of a broker whether input flows or not. And a look at the metadata every few seconds, which is made
in a rebalance and without partitions too: of all topics that are read or written, which are missing or leaderless.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest

from .health import Trouble

#: A broker that has not answered one question after so many seconds is left for the next one.
_ANSWER_SECONDS = 2.0
#: A failed fetch is made again at once. If it is not, the partitions have another leader or owner.
_RETRY_SECONDS = 3.0
#: For so long a broker that has not answered is not asked again: aiokafka makes each try an error in the log and a
#: refresh of its metadata. Shorter than what counts as unanswered, so that a broker soon back is not told of.
_REST_SECONDS = 3.0
_LEADERLESS_SHOWN = 5

Send = Callable[..., Awaitable[Any]]


@dataclass
class _Fetch:
    since: float
    failed: float | None = None


@dataclass
class Reach:
    """What the cluster answers the consumer's client. `topics` are those that have to be there."""

    topics: Sequence[str]
    clock: Callable[[], float] = time.monotonic
    #: Topics that two looks in a row did not find: a broker that has just come up may not know all of them.
    missing: tuple[str, ...] = ()
    _absent: frozenset[str] = frozenset()
    _fetches: dict[Any, _Fetch] = field(default_factory=dict)
    _trouble: Trouble | None = None
    _answered: Any = None
    _resting: dict[Any, float] = field(default_factory=dict)

    @property
    def trouble(self) -> Trouble | None:
        """What does not answer, the longest first. May be asked in any thread."""
        now = self.clock()
        found = [
            Trouble(f"fetches from {node} are not answered", fetch.since)
            for node, fetch in list(self._fetches.items())
            if fetch.failed is None or now - fetch.failed < _RETRY_SECONDS
        ]
        if self._trouble is not None:
            found.append(self._trouble)
        return min(found, key=lambda each: each.since, default=None)

    def watched(self, send: Send) -> Send:
        """Return the client's `send`, with an eye on how long fetches stay unanswered."""

        async def watching(node: Any, request: Any, **options: Any) -> Any:
            if not isinstance(request, FetchRequest):
                return await send(node, request, **options)
            fetch = self._fetches.setdefault(node, _Fetch(self.clock()))
            if fetch.failed is not None and self.clock() - fetch.failed >= _RETRY_SECONDS:
                fetch.since = self.clock()
            fetch.failed = None
            try:
                answer = await send(node, request, **options)
            except KafkaError:
                fetch.failed = self.clock()
                raise
            except BaseException:
                self._fetches.pop(node, None)  # not wanted any more: the partition moved
                raise
            self._fetches.pop(node, None)
            return answer

        return watching

    async def look(self, client: Any) -> None:
        """Ask the brokers, one after the other until one answers, what they know of the topics.

        The one that answered last comes first; those that have just failed to answer are left alone for a while.
        """
        answer = await self._asked(client)
        trouble = "none answers" if answer is None else _leaderless(answer)
        since = self._trouble.since if self._trouble is not None else self.clock()
        self._trouble = None if trouble is None else Trouble(trouble, since)
        if answer is not None:
            unknown = UnknownTopicOrPartitionError.errno
            absent = frozenset(name for code, name, _, _ in answer.topics if code == unknown)
            self.missing, self._absent = tuple(sorted(absent & self._absent)), absent

    def forget(self) -> None:
        """Take nothing for granted that looks have told: they do not work any more."""
        self._trouble, self.missing, self._absent = None, (), frozenset()

    async def _asked(self, client: Any) -> Any:
        nodes = [broker.nodeId for broker in client.cluster.brokers()]
        random.shuffle(nodes)  # not the same dead one first each time; nothing else hangs on it
        nodes.sort(key=lambda node: node != self._answered)
        for node in nodes:
            if self.clock() < self._resting.get(node, -math.inf):
                continue
            request = MetadataRequest(list(self.topics), allow_auto_topic_creation=False)
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    answer = await client.send(node, request)
            except (KafkaError, TimeoutError):
                self._resting[node] = self.clock() + _REST_SECONDS
                continue
            self._answered = node
            return answer
        return None


def _leaderless(answer: Any) -> str | None:
    """Return the partitions that no broker leads, None if there are none."""
    found = [
        f"{topic}[{partition}]"
        for _, topic, _, partitions in answer.topics
        for _, partition, leader, *_ in partitions
        if leader == -1
    ]
    if not found:
        return None
    more = f" and {len(found) - _LEADERLESS_SHOWN} more" if len(found) > _LEADERLESS_SHOWN else ""
    return f"no leader for {', '.join(found[:_LEADERLESS_SHOWN])}{more}"
