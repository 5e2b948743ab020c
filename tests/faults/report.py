"""What a campaign did and what it found: for a person as Markdown, for programs as JSON."""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Injected:
    """One fault. took: whether it came about. silence: the longest in which some partition gave no sign. Seconds."""

    number: int
    name: str
    what: str
    took: bool
    began: float
    seconds: float
    silence: float


@dataclass
class Report:
    """Times in seconds since the start of the campaign."""

    seed: int
    brokers: int
    workers: int
    mutations: Sequence[str]
    faults: list[Injected] = field(default_factory=list)
    #: Everything that is not as it has to be: the checker's differences, and ends of workers that nothing called for.
    differences: list[str] = field(default_factory=list)
    #: What did not come to rest in time: liveness, judged apart.
    unsettled: list[str] = field(default_factory=list)
    #: Transactions that a broker left hanging (KAFKA-20734) and an operator would have ended.
    hanging: list[str] = field(default_factory=list)
    #: How long each round took to come to rest.
    settling: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not self.differences and not self.unsettled

    @property
    def injected(self) -> int:
        """How many faults came about."""
        return sum(each.took for each in self.faults)

    def write(self, directory: Path) -> None:
        """Write `report.json` and `report.md`."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "report.json").write_text(json.dumps(asdict(self), indent=1, default=str) + "\n")
        (directory / "report.md").write_text(self.markdown())

    def verdict(self) -> str:
        """The outcome in one line."""
        what = f"seed {self.seed}, {self.brokers} broker(s), {self.workers} workers"
        found = f"{len(self.differences)} differences, {len(self.unsettled)} times not come to rest"
        idle = len(self.faults) - self.injected
        missed = f" ({idle} more did not come about)" if idle else ""
        return f"{what}: {self.injected} faults{missed} in {self.seconds:.0f} s: {found}"

    def markdown(self) -> str:
        lines = ["# A campaign of faults", "", self.verdict(), ""]
        if self.mutations:
            lines += [f"**Guards taken out: {', '.join(self.mutations)}**", ""]
        lines += [f"- {name}: {count:,}" for name, count in self.counts.items()]
        lines.append(f"- transactions that a broker left hanging (KAFKA-20734), ended by hand: {len(self.hanging)}")
        if self.settling:
            lines.append(f"- coming to rest after a round: {_spread(self.settling)} s (median, longest)")
        lines += ["", "| # | fault | drawn | came about | silence, s: median | longest |", "|---|---|---|---|---|---|"]
        counted = Counter((each.number, each.name) for each in self.faults)
        for number, name in sorted(counted):
            of_kind = [each for each in self.faults if each.name == name]
            silences = [each.silence for each in of_kind]
            silence = f"{statistics.median(silences):.1f} | {max(silences):.1f}"
            took = sum(each.took for each in of_kind)
            lines.append(f"| {number} | {name} | {counted[number, name]} | {took} | {silence} |")
        sections = {
            "Differences": self.differences,
            "Not come to rest": self.unsettled,
            "Left hanging by a broker": self.hanging,
        }
        for title, entries in sections.items():
            if entries:
                lines += ["", f"## {title}", "", *(f"- {entry}" for entry in entries[:50])]
                if len(entries) > 50:
                    lines.append(f"- and {len(entries) - 50} more")
        lines += ["", "## In order", ""]
        lines += [f"- {each.began:.1f} s: {each.name}: {each.what} ({each.silence:.1f} s)" for each in self.faults]
        return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}, {max(values):.1f}"
