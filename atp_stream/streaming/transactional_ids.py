"""Under which transactional ids a producer works: one that is shared, or always new ones of which the last is kept.

A worker never works twice under the same id. A broker may call a transaction ended without having told every partition
(KAFKA-20734). What hangs there would be taken along by the next transaction of the same producer: aborted records would
be committed. Under a new id it goes on hanging, is noticed, and can be ended by hand (docs/adr/0011).
"""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class TransactionalIds(Protocol):
    """The ids of one producer."""

    def last(self) -> str | None:
        """Return the id under which a transaction may have been left open, if there is one besides the next."""

    def next(self) -> str:
        """Return the id to go on under, once nothing is open under the last one."""


@dataclass(frozen=True)
class SharedId:
    """One id that several processes use in turn: whoever starts ends what another has begun."""

    name: str

    def last(self) -> str | None:
        """Return None: starting under the id settles what is open under it."""
        return None

    def next(self) -> str:
        """Return the id."""
        return self.name


class KeptIds:
    """New ids that begin with `prefix`; the last one lies in a file, so that a restart ends its own orphan at once."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self._path = directory / "transactional-id"
        self._prefix = prefix

    def last(self) -> str | None:
        """Return the id that was used last, in this run or in one before. Raises `OSError`.

        What a crash of the machine may have left of the file is none: its transaction then ends by its time-out.
        """
        found = self._path.read_text(errors="replace").strip() if self._path.exists() else ""
        return found if found.startswith(f"{self._prefix}-") else None

    def next(self) -> str:
        """Return a new id, which is the last one from here on. Raises `OSError`."""
        found = f"{self._prefix}-{uuid.uuid4()}"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._path.with_suffix(".new")
        with whole.open("w") as file:
            file.write(f"{found}\n")
            file.flush()
            os.fsync(file.fileno())
        whole.replace(self._path)  # never half of one, whenever the process is killed
        return found
