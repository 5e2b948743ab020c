"""How long things took, as one reads it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Latencies:
    """Of `count` that were done; in milliseconds, from when each was due. failed: those that were not done right."""

    count: int
    failed: int
    p50: float
    p95: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float], failed: int = 0) -> "Latencies":
        """Sum up durations in seconds; there has to be at least one."""
        ordered = sorted(seconds)

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)

        return cls(len(ordered), failed, at(0.5), at(0.95), at(0.99), at(1.0))

    def cells(self) -> list[str]:
        """The columns of a report's row."""
        return [f"{self.count:,}", f"{self.failed:,}", *(f"{value:.1f}" for value in list(asdict(self).values())[2:])]
