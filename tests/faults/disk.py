"""A disk of a worker or broker that can be filled up: a file system in memory, of a set size."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 1 << 16


class Disk:
    """Mounted at `path` while in the `with`. Where this user may not mount, a plain directory that cannot be filled."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._size = f"size={megabytes}m"
        self._filling = path / "filling"
        self.can_fill = False

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", self._size, "tmpfs", str(self.path)]
        self.can_fill = subprocess.run(command, capture_output=True, check=False).returncode == 0
        return self

    def fill(self) -> None:
        """Leave no byte free. Needs `can_fill`."""
        assert self.can_fill
        with self._filling.open("wb", buffering=0) as file:
            size = _CHUNK_BYTES
            while size:
                try:
                    file.write(os.urandom(1) * size)
                except OSError:
                    size //= 2

    def free(self) -> None:
        """Give back what `fill` has taken."""
        self._filling.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.can_fill:
            subprocess.run(["umount", "--lazy", str(self.path)], check=False)


def flip_byte(data: Path, choose: random.Random) -> str | None:
    """Change a bit in one of the SST files of a worker that is down. Returns which; None: it has none yet."""
    files = sorted(path for path in data.glob("state-*/*.rocksdb/*.sst") if path.stat().st_size)
    if not files:
        return None
    path = choose.choice(files)
    content = bytearray(path.read_bytes())
    place = choose.randrange(len(content))
    content[place] ^= 1 << choose.randrange(8)
    path.write_bytes(content)
    return f"{path.parent.name}/{path.name}, byte {place}"


@contextmanager
def failing_writes(pid: int, data: Path) -> Iterator[bool]:
    """Have the writes of a process to its RocksDB logs fail with EIO. Yields whether that could be arranged."""
    strace, logs = shutil.which("strace"), sorted(data.glob("state-*/*.rocksdb/*.log"))
    if strace is None or not logs:
        yield False
        return
    paths = [argument for path in logs for argument in ("-P", str(path))]
    command = [strace, "-f", "-q", "-o", "/dev/null", "-e", "inject=write,pwrite64:error=EIO", *paths, "-p", str(pid)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with suppress(subprocess.TimeoutExpired):
            tracer.wait(0.3)
        yield tracer.poll() is None
    finally:
        tracer.terminate()
        tracer.wait()
