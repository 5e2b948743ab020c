"""What goes to stdout: one JSON document, or text. Escape bytes only on a terminal that wants them."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from atp_stream.tools.terminal import console, is_fancy


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
