"""Writing for a person: escape bytes only on a terminal that wants them, notes on stderr."""

import os
import sys
from typing import IO, TYPE_CHECKING

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


def drop_output() -> None:
    """After a `BrokenPipeError`, as with `| head`: whoever reads has seen enough, and the exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Tell the person something that is not the result: on stderr."""
    print(text, file=sys.stderr)
