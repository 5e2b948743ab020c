"""Where the demo shows its board: a screen that changes on a terminal, elsewhere lines now and then."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Final, Self

from rich.live import Live

from atp_stream.tools.demo_board import Board
from atp_stream.tools.demo_view import Status, drawn, plain
from atp_stream.tools.terminal import console, is_fancy

_FRAME_SECONDS: Final = 0.25
_LINES_SECONDS: Final = 5.0


class Screen:
    """Shows the board as often as it is good for the eye. To be used in a `with`, which gives the terminal back."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream: Final = stream
        self._console: Final = console(stream)
        self._live: Final = (
            Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop")
            if is_fancy(stream)
            else None
        )
        self._due = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, board: Board, status: Callable[[], Status]) -> None:
        """Show the board if it is time to."""
        now = time.monotonic()
        if now < self._due:
            return
        if self._live is not None:
            self._live.update(drawn(board, status(), *self._console.size), refresh=True)
            self._due = now + _FRAME_SECONDS
        elif board.first is not None:
            print("\n".join(plain(board, status())), file=self._stream, flush=True)
            self._due = now + _LINES_SECONDS
