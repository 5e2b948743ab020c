"""A worker that hangs, in one of several ways, at the latest when it meets a certain item.

Called as `atp-stream worker` is, with the way first.
"""

import asyncio
import importlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from atp_stream.cli import main
from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.consumer_thread import ConsumerThread
from atp_stream.streaming.engine import Engine
from atp_stream.streaming.recovery import Recovery

ITEM = "item-to-hang-at"
RESTORE_PAUSE_SECONDS = 0.08

_cluster: Any = importlib.import_module("atp_stream.streaming.cluster")
_decide_stage: Any = importlib.import_module("atp_stream.stages.decide")
_ingest_stage: Any = importlib.import_module("atp_stream.stages.ingest")


def _patch(owner: type, **replaced: Any) -> None:
    for name, value in replaced.items():
        setattr(owner, name, value)


async def _never() -> None:
    await asyncio.Event().wait()


def loop() -> None:
    """The event loop: a decision that does not end."""
    decide = _decide_stage.decide

    def endless(item: Any, reservation: Any, event: Any, policy: Any) -> Any:
        while event.item_id == ITEM:
            pass
        return decide(item, reservation, event, policy)

    _decide_stage.decide = endless


def thread() -> None:
    """The consumer's thread: it blocks once it has fetched the item."""
    fetch: Any = ConsumerThread._fetch_records

    async def blocking(self: ConsumerThread, *arguments: Any, **options: Any) -> Any:
        found = await fetch(self, *arguments, **options)
        if ITEM.encode() in repr(found and found.records).encode():
            threading.Event().wait()
        return found

    _patch(ConsumerThread, _fetch_records=blocking)


def prepare() -> None:
    """A stage that waits, for no reason outside."""
    ingest = _ingest_stage.Ingest

    async def waiting(self: Any, records: Any) -> None:
        if any(ITEM.encode() in record.value for record in records):
            await _never()
        await resolve(self, records)

    resolve = ingest.prepare
    ingest.prepare = waiting


def agent() -> None:
    """An engine that is not woken up: what is fetched is not taken."""

    async def deaf(*_: Any) -> None:
        await _never()

    _patch(Engine, run=deaf)


def recovery() -> None:
    """A recovery that does not come to its end."""

    async def waiting(*_: Any) -> None:
        await _never()

    _patch(Recovery, _resume=waiting)


def restore() -> None:
    """Not a hang: a restore that takes its time."""
    _cluster._RESTORE_BATCH = 10
    take: Any = Cluster._take

    def slow(*arguments: Any) -> None:
        time.sleep(RESTORE_PAUSE_SECONDS)
        take(*arguments)

    _patch(Cluster, _take=staticmethod(slow))


WAYS: dict[str, Callable[[], None]] = {way.__name__: way for way in (loop, thread, prepare, agent, recovery, restore)}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
    sys.exit(main(["worker", *sys.argv[2:]]))
