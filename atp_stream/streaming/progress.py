"""How far a restore has come, for those who wait for it."""

import logging
import time
from collections.abc import Mapping

from .health import Left
from .records import Partition

log = logging.getLogger(__name__)


class Progress:
    """Counts down what a restore has still to read, and says it every few seconds.

    Counted in offsets, of which a compacted log has fewer records: the time left is of the same measure.
    """

    _EVERY_SECONDS = 2.0

    def __init__(self, spans: Mapping[Partition, tuple[int, int]]) -> None:
        self._left = {partition: end - start for partition, (start, end) in spans.items() if end > start}
        self._ends = {partition: end for partition, (_, end) in spans.items()}
        self._total = sum(self._left.values())
        self._restored = 0
        self._began = self._said = time.monotonic()

    def reach(self, partition: Partition, offset: int, records: int) -> None:
        """Note that `records` more were restored, and the partition up to before `offset`."""
        self._restored += records
        self._left[partition] = self._ends[partition] - offset
        now = time.monotonic()
        if now - self._said > self._EVERY_SECONDS:
            self._said = now
            left = self.left
            log.info(
                "restoring: at most %d of %d records left in %d partitions, %.0f s",
                left.records,
                self._total,
                left.partitions,
                left.seconds or 0,
            )

    @property
    def left(self) -> Left:
        """What is left. May be asked in any thread."""
        each = [count for count in list(self._left.values()) if count > 0]
        records = sum(each)
        done = self._total - records
        seconds = records * (time.monotonic() - self._began) / done if done else None
        return Left(len(each), records, seconds)

    def end(self) -> None:
        """Say how much was restored, and how long it took."""
        took = time.monotonic() - self._began
        log.info("restored %d records in %.2f s", self._restored, took)
