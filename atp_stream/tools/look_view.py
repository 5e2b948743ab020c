"""What a worker tells, as tables: drawn on a terminal, or written as plain lines. No I/O, no clock."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from atp_stream.tools.received import printable

#: Status of a row, or state of a worker, to its colour; the word is always there too.
_COLORS: Final = {
    "oversold": "bold red",
    "out": "red",
    "low": "yellow",
    "ok": "green",
    "processing": "green",
    "idle": "green",
    "unreachable": "bold red",
    "stuck": "bold red",
}
_WORDS: Final = ("status", "state")


@dataclass(frozen=True, slots=True)
class Table:
    """columns: names; those that are aligned to the right begin with '>'. rows: texts, as they came."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def names(self) -> list[str]:
        """The names of the columns alone."""
        return [column.removeprefix(">") for column in self.columns]


@dataclass(frozen=True, slots=True)
class View:
    """head, foot: lines before and after the tables."""

    head: Sequence[str]
    tables: Sequence[Table]
    foot: Sequence[str] = ()


def drawn(view: View, warning: str | None = None) -> RenderableType:
    """Return what a terminal shows. warning: a last line in red."""
    parts: list[RenderableType] = [Text(printable(line), "bold" if not at else "") for at, line in enumerate(view.head)]
    parts += [_drawn(table) for table in view.tables]
    parts += [Text(printable(line), "dim") for line in view.foot]
    if warning:
        parts.append(Text(printable(warning), "bold red"))
    return Group(*parts)


def plain(view: View) -> Iterator[str]:
    """Yield the lines, without escape bytes and whatever a terminal might obey."""
    yield from map(printable, view.head)
    for number, table in enumerate(view.tables):
        lines = [[*table.names], *([printable(cell) for cell in row] for row in table.rows)]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        if view.head or number:
            yield ""
        for line in lines:
            cells = zip(line, widths, table.columns, strict=True)
            yield "  ".join(text.rjust(w) if name[0] == ">" else text.ljust(w) for text, w, name in cells).rstrip()
    if view.foot:
        yield ""
    yield from map(printable, view.foot)


def _drawn(table: Table) -> RichTable:
    found = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        name = column.removeprefix(">")
        found.add_column(name, justify="left" if name == column else "right", overflow="fold")
    for row in table.rows:
        found.add_row(*_cells(table.names, row))
    return found


def _cells(names: Iterable[str], row: Iterable[str]) -> Iterator[Text]:
    for name, cell in zip(names, row, strict=True):
        color = _COLORS.get(cell, "yellow" if name == "state" else "") if name in _WORDS else ""
        yield Text(printable(cell), color)
