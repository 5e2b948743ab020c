"""How far verify is: a bar for each phase on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from atp_stream.tools.terminal import console, is_fancy

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_LINE_SECONDS: Final = 10.0


class Silent:
    """Says nothing, but for notes if there is a stream for them."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream: Final = stream

    def phase(self, name: str, total: int) -> None:
        """Begin a phase."""

    def advance(self, steps: int) -> None:
        """Add steps."""

    def note(self, text: str) -> None:
        """Tell the person something."""
        if self._stream is not None:
            print(text, file=self._stream, flush=True)


class Lines(Silent):
    """A line when a phase begins, and every ten seconds while it lasts."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._name, self._done, self._total, self._due = "", 0, 0, 0.0

    def phase(self, name: str, total: int) -> None:
        """Begin a phase."""
        self._name, self._done, self._total = name, 0, total
        self._due = time.monotonic() + _LINE_SECONDS
        self.note(f"{name}: {total:,}" if total else name)

    def advance(self, steps: int) -> None:
        """Add steps."""
        self._done += steps
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_SECONDS
            self.note(f"{self._name}: {self._done:,} of {max(self._done, self._total):,}")


class _Bars(Silent):
    def __init__(self, bars: "Bars") -> None:
        super().__init__()
        self._bars, self._done, self._total = bars, 0, 0

    def phase(self, name: str, total: int) -> None:
        self._finish()
        self._task = self._bars.add_task(name, total=max(total, 1))
        self._done, self._total = 0, total

    def advance(self, steps: int) -> None:
        self._done += steps
        self._bars.update(self._task, completed=self._done, total=max(self._done, self._total, 1))

    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def _finish(self) -> None:
        for task in self._bars.tasks:
            self._bars.update(task.id, completed=task.total)

    def end(self) -> None:
        """Fill the last bar."""
        self._finish()


@contextmanager
def shown(stream: IO[str], *, silent: bool) -> Iterator[Silent]:
    """Yield what shows the progress on the stream; `silent`: only what the person has to know."""
    if silent or not is_fancy(stream):
        yield Silent(stream) if silent else Lines(stream)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:40}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stream)) as bars:
        progress = _Bars(bars)
        yield progress
        progress.end()
