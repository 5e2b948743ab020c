"""The lock: every package at one version with its hashes, for all the Pythons that are supported.

`python -m tests.supply.lock check` says whether it still belongs to pyproject.toml, and needs the standard library
alone: it runs before anything is installed. `... lock` writes the lock anew, with uv (`make lock`).
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "requirements" / "lock.txt"
_MARK = "# belongs to the dependencies of pyproject.toml with the checksum "
_OLDEST_PYTHON = "3.11"


def checksum(project: dict[str, Any]) -> str:
    """The checksum of all that a lock depends on: whatever else changes in pyproject.toml is of no matter."""
    described = project["project"]
    parts = [
        project["build-system"]["requires"],
        described["requires-python"],
        described["dependencies"],
        described["optional-dependencies"],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def difference(project: str, lock: str | None) -> str | None:
    """Why the text of a lock is not that of this pyproject.toml; None: it is."""
    if lock is None:
        return "there is no lock"
    expected = f"{_MARK}{checksum(tomllib.loads(project))}"
    if lock.splitlines()[:1] != [expected]:
        return "the dependencies in pyproject.toml have changed since the lock was made"
    return None


def check() -> int:
    """Say what is wrong, if anything is; return the exit code."""
    lock = LOCK.read_text("utf-8") if LOCK.exists() else None
    wrong = difference(PROJECT.read_text("utf-8"), lock)
    if wrong is None:
        return 0
    print(f"{LOCK.relative_to(ROOT)}: {wrong}. Run `make lock`, and commit it.", file=sys.stderr)
    return 1


def lock() -> int:
    """Write the lock: what is in it stays as it is, unless pyproject.toml asks for something else."""
    project = PROJECT.read_text("utf-8")
    build = "".join(f"{each}\n" for each in tomllib.loads(project)["build-system"]["requires"])
    kept = LOCK.read_text("utf-8") if LOCK.exists() else ""
    LOCK.write_text(kept.partition("\n")[2] if kept.startswith(_MARK) else kept, "utf-8")
    options = ["--universal", "--python-version", _OLDEST_PYTHON, "--all-extras", "--generate-hashes"]
    options += ["--only-binary", ":all:"]  # nothing is built on the way
    options += ["--no-emit-index-url", "--no-header", "--no-annotate", "--quiet", "--output-file", str(LOCK)]
    done = subprocess.run(
        ["uv", "pip", "compile", *options, PROJECT.name, "-"], cwd=ROOT, input=build, text=True, check=False
    )
    if done.returncode:
        LOCK.write_text(kept, "utf-8")
        return done.returncode
    LOCK.write_text(f"{_MARK}{checksum(tomllib.loads(project))}\n{LOCK.read_text('utf-8')}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit({"check": check, "lock": lock}[sys.argv[1]]())
