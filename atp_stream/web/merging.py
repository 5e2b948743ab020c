"""One stream for the whole cluster: this worker's own, and every other worker's, as long as it is of the group.

What cannot be told without a gap is told as `reset`: a worker that has gone with what it said last, partitions that
have moved. The watcher then reads the list anew.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Final

from atp_stream.web.live import Wanted
from atp_stream.web.models import WorkerInfo
from atp_stream.web.relaying import Lost, Relaying
from atp_stream.web.stream_messages import GroupTold, Message, PlaceTold, Reason, ResetTold
from atp_stream.web.watching import Watching

_LOOK_SECONDS: Final = 0.25
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 2.0
#: Within which the workers that a returning watcher knows have to be heard.
_CLAIM_SECONDS: Final = 3.0
#: Messages on their way to one watcher. When he is slow the sources wait; none of them keeps anything for him.
_MOST_WAITING: Final = 8


@dataclass
class Merging:
    """The stream of one watcher. query and passed: what other workers are asked, and with which headers.

    places: up to where he has seen what, by run; grows with what is yielded.
    """

    watching: Watching
    relaying: Relaying
    wanted: Wanted
    query: str
    passed: Mapping[str, str]
    known: Mapping[str, int] | None
    places: dict[str, int] = field(init=False)
    _queue: asyncio.Queue[Message] = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _runs: dict[str, str] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.places = dict(self.known or {})

    async def messages(self, silent_seconds: float) -> AsyncGenerator[Message | None, None]:
        """Yield messages; None after so many seconds without one. Ends with an exception only, or when closed."""
        own = asyncio.create_task(self._own())
        group = asyncio.create_task(self._group())
        try:
            while True:
                for task in (own, group):
                    if task.done():
                        task.result()
                try:
                    async with asyncio.timeout(silent_seconds):
                        message = await self._queue.get()
                except TimeoutError:
                    yield None
                    continue
                if message.run is not None:
                    self.places[message.run] = message.position
                yield message
        finally:
            tasks = [own, group, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _own(self) -> None:
        async for message in self.watching.watch(self.wanted, self.known):
            self._runs[self.watching.inspection.own_url] = self.watching.live.run
            await self._queue.put(message)

    async def _group(self) -> None:
        """Follow the group: say who is in it, and listen to each of them."""
        inspection = self.watching.inspection
        last: Mapping[str, tuple[int, ...]] | None = None
        is_claimed = self.known is None
        while True:
            group = inspection.workers()
            if group != last:
                await self._say_group(group)
                if last is not None:
                    await self._reset("rebalance")
                self._listen(group)
                last = group
            if not is_claimed and time.monotonic() - self._began > _CLAIM_SECONDS:
                is_claimed = True
                await self._give_up_lost()
            await asyncio.sleep(_LOOK_SECONDS)

    def _listen(self, group: Mapping[str, tuple[int, ...]]) -> None:
        own_url = self.watching.inspection.own_url
        for url in self._tasks.keys() - group.keys():
            self._tasks.pop(url).cancel()
            self.places.pop(self._runs.pop(url, ""), None)
        for url in group.keys() - self._tasks.keys() - {own_url}:
            self._tasks[url] = asyncio.create_task(self._other(url))

    async def _give_up_lost(self) -> None:
        """Forget workers that the watcher knows and nobody else does; what they said last may have been missed."""
        lost = self.places.keys() - set(self._runs.values())
        for run in lost:
            del self.places[run]
        if lost:
            await self._reset("lost")

    async def _other(self, url: str) -> None:
        """Hand on what another worker says, for as long as it is in the group."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            known = None
            if self.known is not None or url in self._runs or time.monotonic() - self._began > _CLAIM_SECONDS:
                known = ",".join(f"{run}.{position}" for run, position in self.places.items())
            try:
                async for message in self.relaying.watch(url, self.query, self.passed, known):
                    assert message.run is not None
                    before = self._runs.get(url)
                    self._runs[url] = message.run
                    if before is not None and before != message.run:  # started again: what it said last is lost
                        self.places.pop(before, None)
                        await self._reset("lost")
                    pause = _FIRST_PAUSE_SECONDS
                    await self._queue.put(message)
            except Lost as lost:
                await self._say_unreachable(url, str(lost))
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)

    async def _say_group(self, group: Mapping[str, tuple[int, ...]]) -> None:
        workers = [PlaceTold(url, numbers) for url, numbers in sorted(group.items())]
        told = GroupTold(self.watching.inspection.own_url, time.time_ns() // 1_000_000, workers)
        await self._queue.put(Message.of("group", told))

    async def _say_unreachable(self, url: str, why: str) -> None:
        held = self.watching.inspection.workers().get(url, ())
        info = WorkerInfo(url=url, state="unreachable", ready=False, table_partitions=held, reason=why)
        await self._queue.put(Message.of("worker", info))

    async def _reset(self, reason: Reason) -> None:
        await self._queue.put(Message.of("reset", ResetTold(reason)))
