"""Looks at a deployment from outside: topics, the group's offsets, and whether a transaction is open."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.pipeline.log import Log
from tests.pipeline.waiting import until

from .local_state import read_stores
from .observation import Names, Observation, Place, Stored
from .probe import probe

_SECONDS = 30.0
_PAUSE_SECONDS = 0.05
_OFFSETS = "__consumer_offsets"


class Observer:
    """Reads on from where it was; what is read is handed out once."""

    def __init__(self, servers: str, names: Names) -> None:
        self._servers, self._names = servers, names
        self._sources = Log(servers, names.sources)
        self._changes = Log(servers, [names.changes])
        self._dead_letters = Log(servers, [names.dead_letters])
        self._outputs = Log(servers, names.outputs, names.starts)
        self._changelog = Log(servers, [names.changelog])
        everything = [*names.sources, names.changes, names.dead_letters, *names.outputs, names.changelog, names.origins]
        everything.append(_OFFSETS)
        self._stable = Log(servers, everything)
        self._written = Log(servers, everything, isolation="read_uncommitted")
        self._group = Consumer(
            {"bootstrap.servers": servers, "group.id": names.group, "enable.auto.commit": False, "log_level": 0}
        )
        self._producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "log_level": 0})
        self._counts = {
            topic: len(self._group.list_topics(topic, timeout=_SECONDS).topics[topic].partitions)
            for topic in (*names.sources, names.changes)
        }

    def committed(self) -> dict[Place, int | None]:
        """The group's offsets of all sources and of the changes log; None: it has none."""
        wanted = [TopicPartition(topic, number) for topic, count in self._counts.items() for number in range(count)]
        found = self._group.committed(wanted, timeout=_SECONDS)
        return {(each.topic, each.partition): each.offset if each.offset >= 0 else None for each in found}

    def left(self) -> Mapping[Place, object]:
        """What is not yet read to its end and committed: the offset that it has, and the one that it should have."""
        try:
            committed = self.committed()
        except KafkaException as failure:
            return {("the group's offsets", -1): failure}
        ends: dict[Place, int] = self._sources.ends()
        behind = {place: (committed[place], end) for place, end in ends.items() if committed[place] != end}
        if behind:
            return behind
        # Of the changes log, what counts is the last record that is visible: markers and aborted records follow it.
        held_back = {place: span for place, span in self.held_back(0).items() if place[0] == self._names.changes}
        if held_back:
            return held_back
        self._changes.to_end()
        ends = self._changes.reached
        return {place: (committed[place], end) for place, end in ends.items() if committed[place] != end}

    def held_back(self, seconds: float) -> dict[Place, tuple[int, int]]:
        """Partitions that show less than they hold now, also `seconds` later: up to where, and where they end."""
        deadline = time.monotonic() + seconds
        written = self._written.ends()
        while True:
            stable = self._stable.ends()
            found = {place: (stable[place], end) for place, end in written.items() if stable[place] < end}
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(_PAUSE_SECONDS)

    def look(self, stores: Mapping[str, Path], patience: float) -> Observation:
        """Look at everything when all is quiet. `patience`: for how many seconds a transaction may stay open."""
        held_back = self.held_back(patience)
        probes = probe(self._producer, self._names)
        unseen_after = self.held_back(0.0 if held_back else patience)
        seen = self.glance()
        seen.held_back = {**unseen_after, **held_back}
        ends = self._written.ends()
        seen.changelog_ends = {number: end for (topic, number), end in ends.items() if topic == self._names.changelog}
        seen.stores = self._read_stores(stores, patience)
        visible = {(entry.topic, entry.partition, entry.offset) for entry in (*seen.outputs, *seen.dead_letters)}
        seen.unseen_probes = [(place, offset) for place, offset in probes.items() if (*place, offset) not in visible]
        return seen

    def _read_stores(self, directories: Mapping[str, Path], patience: float) -> list[Stored]:
        """Read local state, again while it is behind: a worker writes it after the commit."""
        ends = {number: end for (_, number), end in self._changelog.reached.items()}
        deadline = time.monotonic() + patience
        while True:
            found = list(read_stores(directories))
            done = {s.partition for s in found if s.reaches is not None and s.reaches + 1 >= ends.get(s.partition, 0)}
            behind = ends.keys() - done
            if not directories or not behind or time.monotonic() > deadline:
                return found
            time.sleep(_PAUSE_SECONDS)

    def glance(self) -> Observation:
        """Read what is new, effects before their causes, so that the cause of everything that was read is there too."""
        committed: dict[Place, int | None] = {}
        failures: list[str] = []

        def ask() -> bool:
            try:
                committed.update(self.committed())
            except KafkaException as failure:  # a coordinator that is being chosen
                failures.append(str(failure))
            return bool(committed)

        until("the group's offsets are known", ask, lambda: str(failures[-1:]))
        outputs, changelog = self._outputs.take(), self._changelog.take()
        letters, changes = self._dead_letters.take(), self._changes.take()
        return Observation(committed, self._sources.take(), changes, letters, outputs, changelog)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for log in (
            self._sources,
            self._changes,
            self._dead_letters,
            self._outputs,
            self._changelog,
            self._stable,
            self._written,
        ):
            log.close()
        self._group.close()
