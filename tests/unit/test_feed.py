"""The feed's pace, and how far it is."""

import io
import time

import pytest

from atp_stream.tools.feed import Schedule
from atp_stream.tools.feed_progress import progress_on


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_events_are_due_at_the_rate_whatever_the_time_that_making_them_takes() -> None:
    clock = Clock()
    schedule = Schedule(10, clock)
    for number in range(50):
        assert schedule.wait() == pytest.approx(100 + number / 10 - clock.seconds)
        clock.seconds = 100 + number / 10 + 0.03
        schedule.sent()


def test_a_short_delay_is_caught_up_with() -> None:
    clock = Clock()
    schedule = Schedule(10, clock)
    clock.seconds += 0.9
    for _ in range(9):
        assert schedule.wait() <= 0
        schedule.sent()
    assert schedule.wait() == pytest.approx(0)


def test_after_a_long_delay_there_is_no_burst_of_more_than_a_second() -> None:
    clock = Clock()
    schedule = Schedule(10, clock)
    clock.seconds += 3600
    due = 0
    while schedule.wait() <= 0:
        schedule.sent()
        due += 1
    assert due == 11


def test_elsewhere_than_on_a_terminal_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(), io.StringIO()
    monkeypatch.setattr(time, "monotonic", clock)
    with progress_on(stream) as show:
        for _ in range(25):
            show(lambda: f"at {clock.seconds:.0f} s")
            clock.seconds += 1
    assert stream.getvalue() == "at 110 s\nat 120 s\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_is_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with progress_on(stream) as show:
        show(lambda: "half of it")
    assert "half of it" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_on_a_terminal_that_wants_none_there_is_no_escape_byte(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, value)
    clock, stream = Clock(), Terminal()
    monkeypatch.setattr(time, "monotonic", clock)
    with progress_on(stream) as show:
        clock.seconds += 10
        show(lambda: "half of it")
    assert stream.getvalue() == "half of it\n"
