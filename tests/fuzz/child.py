"""One target under atheris, which takes over the process and never gives it back: run by `campaign`, one at a time.

    python -m tests.fuzz.child TARGET INPUTS SEED DIRECTORY

Writes a line of JSON to its standard output each second and at the end; what atheris says goes to standard error.
A finding is an input that makes the target raise; it is kept in DIRECTORY. `-` as the number of inputs: run the one
that lies in DIRECTORY, a file, and let it raise.
"""

import hashlib
import importlib
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

MOST_BYTES = 8192
SECONDS_PER_INPUT = 120
"""By the clock on the wall, which on a busy machine runs on while the process waits. Milliseconds are usual."""
MOST_MEGABYTES = 1500
"""Of memory; a target that takes more has a leak, or an input has no bound."""
_PLAIN_CHANGES = 0.25
_FROM_A_GOOD_ONE = 0.4


class _Fuzzer:
    def __init__(self, target: Any, inputs: int, directory: Path) -> None:
        self._target, self._inputs, self._directory = target, inputs, directory
        self._done = 0
        self._outcomes: Counter[str] = Counter()
        self._began = self._told = time.monotonic()

    def one(self, data: bytes) -> None:
        """Run the target on one input; end the process after the last, or at the first finding."""
        try:
            outcome = self._target.run(data)
        except BaseException:  # whatever it is: no input may do that
            place = self._directory / f"{self._target.name}-{hashlib.sha256(data).hexdigest()[:16]}"
            place.write_bytes(data)
            self._tell(finding=str(place), trace=traceback.format_exc(limit=-6))
            self._leave(1)
        self._outcomes[str(outcome)] += 1
        self._done += 1
        if self._done >= self._inputs:
            self._tell()
            self._leave(0)
        if time.monotonic() >= self._told + 1:
            self._tell()

    def _tell(self, **finding: str) -> None:
        self._told = time.monotonic()
        told = {"inputs": self._done, "seconds": self._told - self._began, "outcomes": self._outcomes, **finding}
        print(json.dumps(told), flush=True)

    def _leave(self, code: int) -> None:
        # Not by SystemExit, which atheris would take for a finding.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(name: str, inputs: str, seed: str, place: str, module: str = "tests.fuzz.targets") -> None:
    """`module` holds the targets; a test plants a bug by naming another."""
    if inputs == "-":
        target = importlib.import_module(module).TARGETS[name]
        print(target.run(Path(place).read_bytes()))
        return
    import atheris
    import structlog

    # What the package logs of each input is of no use a million times.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=["atp_stream"]):
        target = importlib.import_module(module).TARGETS[name]

    def mutate(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < _PLAIN_CHANGES or target.mutate is None:
            return bytes(atheris.Mutate(data, most))
        # What has been changed often is hardly ever valid: go back to a good input now and then.
        good = random.choice(seeds) if random.random() < _FROM_A_GOOD_ONE else data
        return bytes(target.mutate(good, random))[:most]

    seeds = target.seeds()
    directory = Path(place)
    with tempfile.TemporaryDirectory(prefix="atp-fuzz-corpus-") as corpus:
        for number, good in enumerate(seeds):
            (Path(corpus) / str(number)).write_bytes(good)
        fuzzer = _Fuzzer(target, int(inputs), directory)
        options = [
            f"-seed={int(seed) % 2**31 or 1}",
            f"-max_len={MOST_BYTES}",
            f"-timeout={SECONDS_PER_INPUT}",
            f"-rss_limit_mb={MOST_MEGABYTES}",
            f"-artifact_prefix={directory}/{name}-",
            "-len_control=0",
            "-report_slow_units=3600",  # slow as the machine is: no finding
            "-reload=0",  # no one else adds to the corpus
            "-print_final_stats=0",
        ]
        more = {} if target.mutate is None else {"custom_mutator": mutate}
        atheris.Setup([sys.argv[0], *options, corpus], fuzzer.one, **more)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
