"""Workers' local state, read beside a worker that may be running."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import rocksdict

from tests.pipeline.waiting import until

from .forms import STORED_UP_TO
from .observation import Stored

_SECONDS = 10.0


def read_stores(directories: Mapping[str, Path]) -> Iterator[Stored]:
    """The state of every partition in the data directory of each worker, by the worker's name."""
    for worker, directory in directories.items():
        for path in sorted(directory.glob("state-*/*.rocksdb")):
            yield _read(worker, path)


def _read(worker: str, path: Path) -> Stored:
    """Read without the right to write, beside an owner that is quiet.

    A file that the owner does away with meanwhile makes it fail: then once more.
    """
    failures: list[str] = []
    found: dict[bytes, bytes] = {}

    def probe() -> bool:
        try:
            found.update(_entries(path))
        except Exception as failure:  # rocksdict has no exception of its own
            failures.append(str(failure))
            return str(failure).startswith("Corruption")
        return True

    until(f"{path} is read", probe, lambda: failures[-1], _SECONDS)
    reaches = found.pop(STORED_UP_TO, None)
    number = int(path.name.removesuffix(".rocksdb").rpartition("-")[2])
    is_damaged = bool(failures) and failures[-1].startswith("Corruption")
    return Stored(worker, number, None if reaches is None else int(reaches), found, is_damaged)


def _entries(path: Path) -> dict[bytes, bytes]:
    # Not as a secondary: that opens without a file that it cannot read, and its entries are missing in silence.
    options = rocksdict.Options(raw_mode=True)
    store = rocksdict.Rdict(str(path), options, access_type=rocksdict.AccessType.read_only())
    try:
        entries, found = store.iter(), {}
        entries.seek_to_first()
        while entries.valid():
            found[entries.key()] = entries.value()
            entries.next()
        entries.status()  # raises: at a damaged block it ends as it does at the last entry
        return found
    finally:
        store.close()
