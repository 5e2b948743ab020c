"""Are vulnerabilities known of the packages in the lock? `python -m tests.supply.audit [--say-if-unasked]`.

Two services are asked, the next one for what the first does not know. Exit code 0: none is known; 1: some are; 3: there
was nobody to ask, which is never taken for "none" - with `--say-if-unasked` it is said, and the exit code is 0.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .lock import LOCK

_SERVICES = ("pypi", "osv")
_SECONDS = 300
UNASKED = 3


@dataclass(frozen=True)
class Answer:
    """What a service said. found: "package version: id, id" of each that is vulnerable; unasked: packages not known."""

    found: Sequence[str]
    unasked: Sequence[str]


def read(document: Mapping[str, Any]) -> Answer:
    """Read pip-audit's JSON."""
    found, unasked = [], []
    for each in document["dependencies"]:
        if "skip_reason" in each:
            unasked.append(f"{each['name']}: {each['skip_reason']}")
        elif each["vulns"]:
            found.append(f"{each['name']} {each['version']}: {', '.join(known['id'] for known in each['vulns'])}")
    return Answer(found, unasked)


def ask(service: str) -> Answer | str:
    """Ask a service about the whole lock; a text: why it could not be asked."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
    options = ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_SECONDS} s"
    if not done.stdout.strip():
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return read(json.loads(done.stdout))


def judge(answers: Mapping[str, Answer | str], *, say_if_unasked: bool) -> tuple[int, list[str]]:
    """Exit code and what to say, from what each service answered."""
    lines = []
    for service, answer in answers.items():
        if isinstance(answer, str):
            lines.append(f"{service} could not be asked: {answer}")
        elif answer.found:
            return 1, [f"vulnerabilities are known ({service}):", *answer.found]
        elif not answer.unasked:
            return 0, [f"no vulnerabilities are known ({service})"]
        else:
            lines.append(f"{service} does not know {len(answer.unasked)} packages, such as {answer.unasked[0]}")
    lines.append("NOT AUDITED: whether vulnerabilities are known could not be found out; run `make audit` where it can")
    return (0 if say_if_unasked else UNASKED), lines


def main(arguments: Sequence[str]) -> int:
    """Ask until a service has answered for all packages."""
    answers: dict[str, Answer | str] = {}
    for service in _SERVICES:
        answers[service] = answer = ask(service)
        if isinstance(answer, Answer) and (answer.found or not answer.unasked):
            break
    code, lines = judge(answers, say_if_unasked="--say-if-unasked" in arguments)
    print("\n".join(lines), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
