"""What is being done, step by step, while the local cluster is fetched and started."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one step is.

    step: what is being done ("Kafka 4.3.1", "starting Kafka"). done, total: how much of it, in `unit` ("jars", "MB"); a
    step without a unit has total 1 and is done or not. note: what is worth telling ("port 9092 is taken, using 24711").
    """

    step: str
    done: int
    total: int
    unit: str = ""
    note: str = ""

    @property
    def finished(self) -> bool:
        """Whether the step is over."""
        return self.done >= self.total

    def __str__(self) -> str:
        amount = f" ({self.done} of {self.total} {self.unit})" if self.unit else ""
        return f"{self.step}{amount}{': ' + self.note if self.note else ''}"


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report nothing."""


@contextmanager
def shown(console: Console) -> Iterator[Report]:
    """Show the steps on the console: bars on a terminal, else a plain line when a step begins and when it ends.

    With NO_COLOR set it is plain lines too: bars are drawn with escape codes.
    """
    if not console.is_terminal or console.is_dumb_terminal or console.no_color:
        yield _plain_lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
    with Bars(*columns, console=console) as bars:
        tasks = {}

        def report(progress: Progress) -> None:
            if progress.note:  # stays above the bars
                bars.console.print(str(progress), markup=False, highlight=False)
                return
            if progress.step not in tasks:
                tasks[progress.step] = bars.add_task(str(progress), total=progress.total)
            bars.update(tasks[progress.step], description=str(progress), completed=progress.done)

        yield report


def _plain_lines(console: Console) -> Report:
    begun: set[str] = set()

    def report(progress: Progress) -> None:
        if progress.finished or progress.note or progress.step not in begun:
            begun.add(progress.step)
            line = f"{progress} done" if progress.finished and not progress.note else str(progress)
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return report
