"""verify from beginning to end. The order of the steps is what makes it right while workers run."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Message

from atp_stream.admin.streaming_errors import errors_for_people
from atp_stream.settings import Settings, confluent_config
from atp_stream.settings.policy import to_policy
from atp_stream.streaming.cluster import Cluster
from atp_stream.streaming.records import Partition
from atp_stream.tools.verify.changelog import Table, Wanted
from atp_stream.tools.verify.ingest import Ingested
from atp_stream.tools.verify.judge import Totals, judge
from atp_stream.tools.verify.judge_entry import Circumstances
from atp_stream.tools.verify.outputs import Outputs
from atp_stream.tools.verify.packed import TOPICS
from atp_stream.tools.verify.reading import Progress, Spans, TopicReader
from atp_stream.tools.verify.replay import Replay, Rules
from atp_stream.tools.verify.report import INGEST, Check, Findings, Report, list_checks, place
from atp_stream.tools.verify.schemas import Schemas
from atp_stream.tools.verify.scratch import Scratch
from atp_stream.tools.verify.topics import Topics, find_topics


@dataclass(frozen=True)
class Scope:
    """What is looked at. prefix: of item keys; is_item: it is the whole key. limit: differences kept for the report.

    work_dir: where the temporary files lie. patience: seconds that an open transaction is waited for.
    """

    prefix: bytes = b""
    is_item: bool = False
    limit: int = 50
    work_dir: Path | None = None
    patience: float = 60.0

    def wanted(self) -> Wanted:
        """Return what tells whether an item, by its key, is looked at."""
        prefix = self.prefix
        if self.is_item:
            return lambda key: key == prefix
        return (lambda key: key.startswith(prefix)) if prefix else lambda _: True


def verify(settings: Settings, scope: Scope, progress: Progress) -> Report:
    """Verify a live cluster. AppError: it cannot be reached, or is not what can be verified."""
    began = time.monotonic()
    with errors_for_people(), Scratch(scope.work_dir) as scratch:
        report = _Run(settings, scope, scratch, progress).report()
    report.seconds = time.monotonic() - began
    return report


class _Run:
    def __init__(self, settings: Settings, scope: Scope, scratch: Scratch, progress: Progress) -> None:
        kafka, group = confluent_config(settings.kafka), settings.worker.application_id
        self._settings = settings
        self._policy = to_policy(settings)
        self._every_change = settings.worker.emit == "every_change"
        self._scope = scope
        self._scratch = scratch
        self._progress = progress
        self._findings = Findings(scope.limit, scope.wanted())
        self._cluster = Cluster(kafka, group, scope.patience)
        self._reader = TopicReader(kafka, group, scope.patience, progress)
        self._topics: Topics = find_topics(settings, self._cluster)
        self._schemas = Schemas(settings)
        self._table = Table(scratch, scope.wanted(), self._findings)
        self._outputs = Outputs(scratch, self._schemas.output, scope.wanted(), self._findings)
        self._ingested = Ingested(
            self._topics.starts(self._topics.stateless), self._topics.starts(self._topics.stateful), self._findings
        )

    def report(self) -> Report:
        topics, cluster = self._topics, self._cluster
        stateless = topics.partitions(topics.stateless)
        # Before the changes log: what the group has read by now must be found there.
        before = cluster.stable_offsets(stateless)
        cut = self._read_cut()
        # Behind the cut, so that whatever belongs to it lies before these offsets and ends.
        offsets = cluster.stable_offsets(cut)
        logs = topics.partitions([*topics.stateful, topics.dead_letters, *TOPICS])
        ends = cluster.ends(logs)
        # Asked for after those: what letters and changes log tell of has an offset below.
        self._ingested.ends = {p: end for p, (_, end) in cluster.ends(self._ingested.starts).items()}
        letters = {p: span for p, span in ends.items() if p.topic == topics.dead_letters}
        self._read("dead letters", letters, self._ingested.take_letters)
        self._read("outputs", {p: span for p, span in ends.items() if p.topic in TOPICS}, self._outputs.take)
        impossible = self._why_no_replay(cut, self._expired(ends))
        self._read_changes(cut, ends, impossible is None)
        self._read_later()
        self._check_offsets(cut, offsets)
        # Asked for again: what has expired while it was read is not missing.
        expired = self._expired(cluster.ends(logs))
        impossible = impossible or self._why_no_replay(cut, expired)
        ingest = self._judge_ingest(before, cluster.stable_offsets(stateless), expired)
        totals = self._judge(impossible is None, expired)
        return Report(
            differences=self._findings.kept,
            total=self._findings.total,
            checks=list_checks(impossible, ingest, totals.partial, self._every_change, self._one_policy),
            read=dict(sorted(self._reader.counts.items())),
            items=totals.items,
            reservations=dict(sorted(totals.reservations.items())),
            notes=self._notes(),
        )

    def _read(self, phase: str, spans: Spans, take: Callable[[Partition, list[Message]], None]) -> None:
        self._progress.phase(phase, sum(max(0, end - first) for first, end in spans.values()))
        self._reader.read(spans, take)

    def _read_cut(self) -> dict[Partition, int]:
        """Fold the changelog; return the cut: by stateful partition, the next offset that the table does not hold."""
        topics = self._topics
        spans = self._cluster.ends(topics.partitions([topics.changelog]))
        for partition, (first, _) in spans.items():
            if first > 0:
                what = "beginning of the changelog, which is compacted only"
                self._findings.add(None, what, 0, first, place(*partition, first))
        self._progress.phase("changelog", sum(end - first for first, end in spans.values()))
        firsts = {partition: first for partition, (first, _) in spans.items()}
        self._table.read_cut(self._reader, self._cluster, firsts, self._scope.patience)
        return self._reached()

    def _reached(self) -> dict[Partition, int]:
        """Return the offsets that the watermark records say, or where reading began."""
        starts = self._topics.starts(self._topics.stateful)
        return {p: self._table.watermarks.get(p.number, {}).get(p.topic, start) for p, start in starts.items()}

    def _expired(self, spans: Spans) -> set[Partition]:
        """Return the partitions whose beginning is gone: where reading began, or, of what we write, 0."""
        starts = self._topics.starts(self._topics.stateful)
        return {partition for partition, (first, _) in spans.items() if first > starts.get(partition, 0)}

    def _why_no_replay(self, cut: Mapping[Partition, int], expired: set[Partition]) -> str | None:
        """Return why the log cannot be decided once more with the same result; None: it can."""
        topics = self._topics
        gone = sorted({p.topic for p in expired if p.topic in topics.stateful})
        if gone:
            return f"the beginning of {', '.join(gone)} is gone"
        others = sorted(self._outputs.versions.keys() - {self._policy.version})
        if others:
            count = sum(self._outputs.versions[version] for version in others)
            return f"{count} outputs by the rules {', '.join(others)}, not {self._policy.version} as set now"
        if topics.keyed and any(p.topic == topics.dead_letters for p in expired):
            return f"the beginning of {topics.dead_letters} is gone"
        starts = topics.starts(topics.stateful)
        used = [partition for partition, end in cut.items() if end > starts[partition]]
        if any(count > 1 for count in Counter(partition.number for partition in used).values()):
            return f"the order between {', '.join(sorted({p.topic for p in used}))} is not recorded"
        return None

    def _read_changes(self, cut: Mapping[Partition, int], ends: Spans, replays: bool) -> None:
        topics, ingested = self._topics, self._ingested
        letters_gone = any(first > 0 for p, (first, _) in ends.items() if p.topic == topics.dead_letters)
        replay = Replay(
            self._scratch,
            self._schemas,
            Rules(self._policy, self._every_change, self._settings.topics.state_partitions),
            topics.keyed,
            cut,
            None if letters_gone else ingested.refused,
            self._scope.wanted(),
            self._findings,
        )

        def take(partition: Partition, messages: list[Message]) -> None:
            if partition.topic == topics.changes:
                ingested.take_changes(partition, messages)
            if replays:
                replay.take(partition, messages)

        spans = {}
        for partition, end in cut.items():
            first, last = ends[partition]
            if partition.topic == topics.changes:
                spans[partition] = (first, last)
            elif replays:
                spans[partition] = (first, end)
        self._read("changes log, replayed" if replays else "changes log", spans, take)
        replay.write()

    def _read_later(self) -> None:
        """Read what the changelog has got since: outputs behind the cut are numbered no further than that."""
        ends = self._cluster.ends(self._table.cut)
        self._table.read_later(self._reader, [(partition, end) for partition, (_, end) in ends.items()])

    def _check_offsets(self, cut: Mapping[Partition, int], offsets: Mapping[Partition, int | None]) -> None:
        """The group's offset was read between the cut and what came later, so it lies between their watermarks."""
        later = self._reached()
        for partition, offset in sorted(offsets.items()):
            least, most = cut[partition], later[partition]
            if offset is None or not least <= offset <= most:
                expected = f"{least}" if least == most else f"{least} to {most}"
                found = "none" if offset is None else offset
                self._findings.add(None, "group offset", f"{expected}, by the watermark", found, place(*partition))

    def _judge_ingest(
        self, before: Mapping[Partition, int | None], after: Mapping[Partition, int | None], expired: set[Partition]
    ) -> Check:
        topics = self._topics
        ends = self._cluster.ends(self._ingested.seen)
        gone = sorted({p.topic for p in expired if p.topic in (topics.changes, topics.dead_letters)})
        if gone:
            self._ingested.judge(before, after)
            return Check(INGEST, False, f"only that nothing is there twice: the beginning of {', '.join(gone)} is gone")
        self._ingested.judge(before, after)
        if self._ingested.is_missing(before):
            self._progress.phase("source topics, where offsets are missing", 0)
        unknown = self._ingested.look_for_missing(before, ends, self._reader)
        if unknown:
            return Check(INGEST, True, f"not of {unknown} source offsets, whose records have expired")
        return Check(INGEST, True)

    def _judge(self, replayed: bool, expired: set[Partition]) -> Totals:
        circumstances = Circumstances(
            policy=self._policy,
            replayed=replayed,
            one_policy=self._one_policy,
            every_change=self._every_change,
            changelog=self._topics.changelog,
            partitions=self._settings.topics.state_partitions,
            output_partitions=self._topics.output_partitions,
            gone=frozenset((TOPICS.index(p.topic), p.number) for p in expired if p.topic in TOPICS),
        )
        self._progress.phase("comparing", self._scratch.count)
        return judge(self._scratch, circumstances, self._findings, self._progress.advance)

    @property
    def _one_policy(self) -> bool:
        return not self._outputs.versions.keys() - {self._policy.version}

    def _notes(self) -> list[str]:
        notes = []
        if self._ingested.unknown:
            notes.append(f"{self._ingested.unknown} records of the changes log did not come through ingest")
        if self._ingested.unknown_letters:
            notes.append(f"{self._ingested.unknown_letters} dead letters are of topics that these settings do not read")
        return notes
