"""What goes to stdout: one JSON document, or text. Escape bytes only on a terminal that wants them."""

import json
import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def is_fancy(stream: IO[str]) -> bool:
    """Tell whether colours and cursor movement are wanted: a terminal, not NO_COLOR, not TERM=dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") not in ("", "dumb")


def console(stream: IO[str]) -> "Console":
    """Return rich's console for a stream; where it is not `is_fancy`, one that writes plain lines."""
    from rich.console import Console

    if is_fancy(stream):
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, force_terminal=False, color_system=None)


def print_json(document: Any) -> None:
    """Print the one document of a command."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers: drawn by rich on a terminal, else in plain columns."""
    if is_fancy(sys.stdout):
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(*headers, box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*(Text(cell, overflow="fold") for cell in row))
        console(sys.stdout).print(table)
        return
    widths = [max(len(line[column]) for line in (headers, *rows)) for column in range(len(headers))]
    for line in (headers, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def note(text: str) -> None:
    """Tell the person something that is not the result: on stderr."""
    print(text, file=sys.stderr)
