"""A line that tells how far something is: on a terminal one that changes, elsewhere a new one now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final

from atp_stream.tools.terminal import console, is_fancy

_TERMINAL_SECONDS: Final = 0.25
_LINE_SECONDS: Final = 10.0

Show = Callable[[Callable[[], str]], None]
"""Takes what makes the text, and calls it when it is time to show it."""


@contextmanager
def progress_on(stream: IO[str]) -> Iterator[Show]:
    """Yield what shows a text on the stream; calling it often costs nothing."""
    fancy = is_fancy(stream)
    pause = _TERMINAL_SECONDS if fancy else _LINE_SECONDS
    due = time.monotonic() + (0 if fancy else pause)

    def paced(show: Callable[[str], None]) -> Show:
        def call(text: Callable[[], str]) -> None:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + pause
                show(text())

        return call

    if not fancy:
        yield paced(lambda text: print(text, file=stream, flush=True))
        return
    with console(stream).status("") as status:
        yield paced(status.update)
