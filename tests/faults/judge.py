"""Holds what was observed against what must be. Pure: no cluster, no disk."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.pipeline.item import Policy

from .difference import Difference
from .forms import item_key
from .ingest_check import IngestCheck, Input, place
from .observation import Names, Observation, Place
from .output_check import OutputCheck
from .state_check import StateCheck


class Judge:
    """Takes one observation after the other. What it has judged it remembers no more than it has to."""

    def __init__(self, names: Names, policy: Policy, schemas: Mapping[int, Any]) -> None:
        self._names = names
        self._found: list[Difference] = []
        self._ingest = IngestCheck(names, schemas, self._report)
        self._outputs = OutputCheck(names, policy, self._report)
        self._state = StateCheck(names, self._report)
        self._ends: dict[Place, int] = dict(names.starts)
        self._probe = item_key({"tenantId": names.probe_tenant, "itemId": "probe"})
        self._own = f"{names.tenant}/".encode()
        #: Records judged so far, by what they are.
        self.counts: Counter[str] = Counter()

    def _report(self, difference: Difference) -> None:
        self._found.append(difference)

    def judge(self, seen: Observation, *, partial: bool = False) -> list[Difference]:
        """Return the differences. `partial`: work goes on, so what is still missing is waited for.

        Then the state, which is behind or ahead of what was read, is left for the next full look.
        """
        self._found.clear()
        self._take(seen)
        self._check_offsets(seen, partial)
        if not partial:
            self._ingest.missing()
            self._outputs.missing()
            self._check_state(seen)
            self._check_open(seen)
        return list(self._found)

    def _take(self, seen: Observation) -> None:
        self.counts.update({"source records": len(seen.sources), "changes": len(seen.changes)})
        self.counts["changelog records"] += len(seen.changelog)
        for entry in (*seen.sources, *seen.changes):
            self._ends[entry.topic, entry.partition] = entry.offset + 1
        for entry in seen.sources:
            self._decide(self._ingest.source(entry))
        for entry in seen.changes:
            self._decide(self._ingest.change(entry))
        for entry in seen.outputs:
            if entry.key is not None and entry.key.startswith(self._own):
                self.counts["outputs"] += 1
                self._outputs.output(entry)
        for entry in seen.dead_letters:
            if entry.key != self._probe:
                self.counts["dead letters"] += 1
                self._ingest.letter(entry)
        for entry in seen.changelog:
            self._state.record(entry)

    def _decide(self, given: Input | None) -> None:
        if given is None:
            return
        if given.key != given.entry.key:
            self._report(Difference("input not under its item's key", place(given.entry), given.key, given.entry.key))
        if not self._outputs.decide(given):
            self._ingest.refused(given)

    def _check_offsets(self, seen: Observation, partial: bool) -> None:
        for at, committed in sorted(seen.committed.items()):
            end = self._ends.get(at, 0)
            if committed is None:
                if partial:
                    continue  # no worker has begun yet
                self._report(Difference("no committed offset", f"{at[0]}/{at[1]}", end, None))
            elif committed > end or (committed < end and not partial):
                self._report(Difference("wrong committed offset", f"{at[0]}/{at[1]}", end, committed))

    def _check_state(self, seen: Observation) -> None:
        touched = list(self._outputs.touched())
        self._state.compare(self._outputs.table, touched)
        self._state.check_watermarks(seen.committed)
        for stored in seen.stores:
            self._state.check_store(stored, seen.changelog_ends)
        if seen.stores:
            self._state.check_owned(seen.stores)

    def _check_open(self, seen: Observation) -> None:
        for (topic, number), (stable, end) in sorted(seen.held_back.items()):
            self._report(Difference("open transaction", f"{topic}/{number}", f"visible up to {end}", stable))
        for (topic, number), offset in seen.unseen_probes:
            self._report(Difference("probe not visible", f"{topic}/{number}", offset, None))
