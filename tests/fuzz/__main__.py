"""Coverage-guided fuzzing of everything that comes from outside.

    python -m tests.fuzz [--inputs N] [--seed S] [--target NAME]... [--minutes M] [--findings DIR]
    python -m tests.fuzz --target NAME --repeat FILE

Exit code 0: nothing was found; 1: an input made a target fail, and was kept; 69: atheris is not installed.
"""

import argparse
import contextlib
import importlib.util
import math
import sys
import time
from pathlib import Path

from . import child
from .campaign import Report, run_target

#: Name and share of each target, without importing what they need: atheris has to see that import.
SHARES = {
    "avro": 30, "json": 22, "headers": 10, "registry": 6, "settings": 3, "keys": 12, "state": 12, "dead-letters": 2,
    "history": 3,
}  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all, shared out among the targets (1000000)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer and of the changes to inputs (1)")
    parser.add_argument("--target", action="append", choices=SHARES, help="only this one; may be repeated")
    parser.add_argument("--minutes", type=float, help="stop each target after its share of so many minutes")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where inputs that fail are kept")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="run the one input in a file, with its traceback")
    return parser.parse_args()


class _Progress:
    """A line that is written over on a terminal, and one every ten seconds elsewhere."""

    def __init__(self, inputs: int) -> None:
        self._inputs = inputs
        self._terminal = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, report: Report) -> None:
        if not self._terminal and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 10
        rate = report.inputs / report.seconds if report.seconds else 0
        line = (
            f"{report.target}: {report.inputs:,} of {self._inputs:,} inputs, {rate:,.0f}/s, "
            f"coverage {report.coverage}, corpus {report.corpus}, {_outcomes(report, 3)}"
        )
        print(f"\r\x1b[K{line[:150]}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr)


def _outcomes(report: Report, most: int) -> str:
    refused = list(report.refused.items())
    shown = [f"{name} {count:,}" for name, count in refused[:most]]
    if len(refused) > most:
        shown.append(f"{len(refused) - most} more")
    return f"accepted {report.accepted:,}, refused {sum(report.refused.values()):,} ({', '.join(shown) or 'none'})"


def _show(report: Report) -> None:
    print(
        f"{report.target:13} {report.inputs:>9,} inputs {report.seconds:>7.1f} s  coverage {report.coverage:>5} "
        f"corpus {report.corpus:>5}  seed {report.seed}\n              {_outcomes(report, 99)}"
    )
    if report.finding is not None:
        print(f"  FINDING in {report.target}:\n{report.trace}")
        print(f"  kept in {report.finding}; to repeat it:\n    {report.repeat}")
    sys.stdout.flush()


def main() -> int:
    """Run the targets that were asked for."""
    asked = _arguments()
    targets = asked.target or [*SHARES]
    if asked.repeat is not None:
        for name in targets[:1]:
            child.main(name, "-", "0", str(asked.repeat))
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("error: atheris is not installed\n  fix: pip install 'atp-stream[fuzz]'", file=sys.stderr)
        return 69
    whole = sum(SHARES[name] for name in targets)
    reports = []
    for name in targets:
        inputs = math.ceil(asked.inputs * SHARES[name] / whole)
        seconds = None if asked.minutes is None else asked.minutes * 60 * SHARES[name] / whole
        progress = _Progress(inputs)
        reports.append(run_target(name, inputs, asked.seed, asked.findings, progress, seconds))
        progress.end()
        _show(reports[-1])
    found = sum(report.finding is not None for report in reports)
    total, seconds = sum(report.inputs for report in reports), sum(report.seconds for report in reports)
    with contextlib.suppress(OSError):
        asked.findings.rmdir()  # where nothing was found
    findings = f"{found or 'no'} finding{'' if found == 1 else 's'}"
    print(f"{total:,} inputs in {seconds:,.0f} s, seed {asked.seed}: {findings}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
