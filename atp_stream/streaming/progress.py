"""How far a restore has come, for those who wait for it."""

import logging
import time
from collections.abc import Mapping

from .records import Partition

log = logging.getLogger(__name__)


class Progress:
    """Says every few seconds how far a restore has come: records left, records per second, time left."""

    _EVERY_SECONDS = 2.0

    def __init__(self, spans: Mapping[Partition, tuple[int, int]]) -> None:
        self._total = sum(max(0, end - start) for start, end in spans.values())
        self._done = 0
        self._began = self._said = time.monotonic()

    def count(self, records: int) -> None:
        """Count restored records."""
        self._done += records
        now = time.monotonic()
        if now - self._said > self._EVERY_SECONDS:
            self._said = now
            rate = self._done / (now - self._began)
            log.info(
                "restoring: %d of at most %d records, %.0f/s, %.0f s left",
                self._done,
                self._total,
                rate,
                max(0, self._total - self._done) / rate,
            )

    def end(self) -> None:
        """Say how much was restored, and how long it took."""
        took = time.monotonic() - self._began
        log.info("restored %d records in %.2f s", self._done, took)
