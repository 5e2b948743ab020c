"""Runs targets one after the other, each in a process of its own, and collects what they tell."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .target import ACCEPTED

_ROOT = Path(__file__).parents[2]
_COVERAGE = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)/")


@dataclass
class Report:
    """What became of the inputs of one target."""

    target: str
    seed: int
    inputs: int = 0
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    coverage: int = 0
    """Branches of the package that were reached, as libFuzzer counts them."""
    corpus: int = 0
    finding: Path | None = None
    trace: str = ""

    @property
    def accepted(self) -> int:
        """How many inputs were taken."""
        return self.outcomes.get(ACCEPTED, 0)

    @property
    def refused(self) -> dict[str, int]:
        """By the class of the refusal, the most frequent first."""
        others = ((name, count) for name, count in self.outcomes.items() if name != ACCEPTED)
        return dict(sorted(others, key=lambda pair: (-pair[1], pair[0])))

    @property
    def repeat(self) -> str:
        """The command that runs the finding's input once more."""
        return f"{Path(sys.executable).name} -m tests.fuzz --target {self.target} --repeat {self.finding}"


def run_target(
    name: str,
    inputs: int,
    seed: int,
    findings: Path,
    progress: Callable[[Report], None] = lambda _: None,
    seconds: float | None = None,
    module: str = "tests.fuzz.targets",
) -> Report:
    """Run one target on so many inputs, or for so many seconds; progress is reported about every second."""
    findings.mkdir(parents=True, exist_ok=True)
    report = Report(name, seed)
    # One order of everything that is hashed: the seed has to repeat the run. Its temporary files go with the process.
    with (
        tempfile.TemporaryDirectory(prefix="atp-fuzz-") as scratch,
        subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child", name, str(inputs), str(seed), str(findings.resolve()), module],
            cwd=_ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0", "TMPDIR": scratch},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process,
    ):
        last: list[str] = []
        watcher = threading.Thread(target=_watch, args=(process, report, last))
        watcher.start()
        began, is_over = time.monotonic(), False
        try:
            for line in process.stdout or ():
                _take(report, line)
                progress(report)
                is_over = seconds is not None and time.monotonic() > began + seconds
                if is_over:
                    break
            else:
                process.wait()
        finally:
            process.kill()  # nothing to one that has ended by itself
            watcher.join()
    if process.returncode != 0 and not is_over and report.finding is None:
        report.finding, report.trace = _crashed(findings, name, last)
    return report


def _watch(process: "subprocess.Popen[str]", report: Report, last: list[str]) -> None:
    for line in process.stderr or ():
        last.append(line)
        del last[:-60]
        if found := _COVERAGE.search(line):
            report.coverage, report.corpus = int(found[1]), int(found[2])


def _take(report: Report, line: str) -> None:
    try:
        told = json.loads(line)
    except ValueError:
        return  # atheris has a word to say too
    report.inputs, report.seconds, report.outcomes = told["inputs"], told["seconds"], told["outcomes"]
    if "finding" in told:
        report.finding, report.trace = Path(told["finding"]), told["trace"]


def _crashed(findings: Path, name: str, last: list[str]) -> tuple[Path, str]:
    """The process itself has ended: libFuzzer has kept the input that crashed it, hung it, or took all the memory."""
    made: Iterator[Path] = findings.glob(f"{name}-*")
    newest = max(made, key=lambda path: path.stat().st_mtime, default=findings / f"{name}-not-kept")
    return newest, "".join(last)
