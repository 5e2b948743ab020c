"""atp-stream inspect, items, workers: one question to a worker, answered once or again and again."""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from rich.live import Live

from atp_stream.errors import EXIT_OK, TemporaryError, UnavailableError
from atp_stream.observability import set_up_logging
from atp_stream.settings import Settings
from atp_stream.tools.api_client import Answer, ApiClient
from atp_stream.tools.look_view import View, drawn, plain
from atp_stream.tools.stopping import Stop, stop_signals
from atp_stream.tools.terminal import console, drop_output, is_fancy, note

_EVERY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """A path of the API with its parameters, and how its answer is shown."""

    path: str
    parameters: Mapping[str, str]
    view: Callable[[Answer], View]


def run_look(settings: Settings, question: Question, *, watch: bool, wait: float, as_json: bool) -> int:
    """Show the answer, or with `watch` go on showing it until a signal comes or nobody reads on; return 0.

    wait: for how many seconds a worker that cannot tell, and with `watch` one that is gone, is asked again. as_json:
    the answer as the worker wrote it, each on a line. AppError: there is no answer.
    """
    set_up_logging("warning", "text")
    try:
        if not watch:
            with closing(ApiClient(settings, wait, Stop().wait)) as client:
                _print(question, client.get(question.path, question.parameters), as_json)
            return EXIT_OK
        with stop_signals() as stop, closing(ApiClient(settings, 0.0, stop.wait)) as client:
            _watch(client, question, stop, wait, _Shown(question, as_json))
    except BrokenPipeError:
        drop_output()
    return EXIT_OK


def _watch(client: ApiClient, question: Question, stop: Stop, wait: float, shown: "_Shown") -> None:
    away_since: float | None = None
    with shown:
        while not stop.asked:
            try:
                with stop.interrupting():
                    answer = client.get(question.path, question.parameters)
            except KeyboardInterrupt:
                return
            except (TemporaryError, UnavailableError) as error:
                if shown.nothing and isinstance(error, UnavailableError):
                    raise
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > wait:
                    raise
                shown.wait(f"{error.message}: {error.cause}")
            else:
                away_since = None
                shown.show(answer)
            stop.wait(_EVERY_SECONDS)


class _Shown:
    """Where a watched answer is shown: a screen on a terminal, else blocks of lines or of JSON, as it changes."""

    def __init__(self, question: Question, as_json: bool) -> None:
        self._question: Final = question
        self._as_json: Final = as_json
        fancy = is_fancy(sys.stdout) and not as_json
        self._live: Final = (
            Live(console=console(sys.stdout), screen=True, auto_refresh=False, vertical_overflow="crop")
            if fancy
            else None
        )
        self._last: Answer | None = None
        self._told = False

    @property
    def nothing(self) -> bool:
        """Whether nothing has been shown yet."""
        return self._last is None

    def show(self, answer: Answer) -> None:
        """Show an answer."""
        self._told = False
        if self._live is not None:
            self._live.update(drawn(self._question.view(answer)), refresh=True)
        elif self._last is None or self._last.body != answer.body:
            if not self.nothing and not self._as_json:
                print()
            _print(self._question, answer, self._as_json)
        self._last = answer

    def wait(self, why: str) -> None:
        """Say that what was shown last may not hold any more."""
        if self._live is not None:
            view = self._question.view(self._last) if self._last is not None else View([], [])
            self._live.update(drawn(view, f"as it was; waiting: {why}"), refresh=True)
        elif not self._told:
            note(f"waiting: {why}")
        self._told = True

    def __enter__(self) -> "_Shown":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()


def _print(question: Question, answer: Answer, as_json: bool) -> None:
    if as_json:
        sys.stdout.flush()
        sys.stdout.buffer.write(answer.body.rstrip() + b"\n")
        sys.stdout.buffer.flush()
    elif is_fancy(sys.stdout):
        console(sys.stdout).print(drawn(question.view(answer)))
    else:
        print("\n".join(plain(question.view(answer))), flush=True)
