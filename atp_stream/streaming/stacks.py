"""Where each thread stands, and each task of ours: for the log of a worker that hangs. Without values of variables."""

import asyncio
import gc
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_PACKAGE = str(Path(__file__).parents[1])


def stacks(loops: Iterable[asyncio.AbstractEventLoop]) -> str:
    """Return the stacks of all threads, and of the waiting tasks of these loops that are in this package."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        lines = "".join(traceback.format_stack(frame))
        parts.append(f"thread {names.get(ident, ident)}:\n{lines}")
    for loop in loops:
        parts.extend(_tasks(loop))
    return "\n".join(parts)


def _tasks(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    for task in asyncio.all_tasks(loop):
        frames = list(_frames(task.get_coro()))
        if any(frame.f_code.co_filename.startswith(_PACKAGE) for frame in frames):
            lines = "".join(
                f'  File "{frame.f_code.co_filename}", line {frame.f_lineno}, in {frame.f_code.co_name}\n'
                for frame in frames
            )
            yield f"task {task.get_name()}:\n{lines}"


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """Yield the frames of a coroutine that waits, from the outermost to the one that does."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None:
            yield frame
        coroutine = _unwrapped(getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None))


def _unwrapped(awaited: Any) -> Any:
    """Return the coroutine behind what `__await__` or `asend` have made of it, which do not tell of it themselves."""
    if awaited is None or hasattr(awaited, "cr_frame") or hasattr(awaited, "ag_frame"):
        return awaited
    behind = [each for each in gc.get_referents(awaited) if hasattr(each, "cr_frame") or hasattr(each, "ag_frame")]
    return behind[0] if behind else None
