"""Looks for secrets in all files of the project: `python -m tests.supply.leaks`. Those of .secrets.baseline are none.

`... leaks accept` takes what is there now into the baseline: look at each before.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

from .lock import LOCK, ROOT

BASELINE = ROOT / ".secrets.baseline"
#: Checksums of packages, and of what was accepted.
_NOT_LOOKED_AT = {LOCK, BASELINE}


def looked_at(root: Path = ROOT) -> list[str]:
    """All files that git tracks, and new ones that it does not ignore; outside of a checkout all but ignored ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [name for name in done.stdout.split("\0") if name and (root / name).is_file()]
    ignored = [line.strip("/") for line in (root / ".gitignore").read_text("utf-8").splitlines()]
    found = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return [str(path) for path in found if not any(Path(part).match(each) for part in path.parts for each in ignored)]


def scan(files: Iterable[str], root: Path = ROOT) -> SecretsCollection:
    """What looks like a secret in these files of a directory, by the library's settings in force."""
    found = SecretsCollection()
    with contextlib.chdir(root):  # so that files are known by their names in it, wherever it lies
        found.scan_files(*(name for name in files if root / name not in _NOT_LOOKED_AT))
    return found


def new(found: SecretsCollection, accepted: SecretsCollection) -> list[str]:
    """File, line and kind of what was not accepted. A secret that has moved to another line is no other."""
    return [f"{name}:{secret.line_number}: {secret.type}" for name, secret in found - accepted]


def main(arguments: list[str]) -> int:
    """Look; return 0: nothing new, 1: something."""
    with default_settings():
        found = scan(looked_at())
        if arguments == ["accept"]:
            baseline.save_to_file(found, str(BASELINE))
            return 0
    leaks = new(found, baseline.load(baseline.load_from_file(str(BASELINE))))
    if leaks:
        print("\n".join(["these look like secrets:", *leaks]), file=sys.stderr)
        print("take them out; what is none: `python -m tests.supply.leaks accept`", file=sys.stderr)
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
