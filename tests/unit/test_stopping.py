"""A signal to stop is noted or, where a step cannot look, ends the step; a second one changes nothing."""

import os
import signal
from collections.abc import Iterator

import pytest

from atp_stream.tools.stopping import Stop, stop_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def stop() -> Iterator[Stop]:
    with stop_signals() as stop:
        yield stop


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted(stop: Stop, number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    assert stop.asked
    os.kill(os.getpid(), number)
    assert stop.wait(3600)


def test_without_a_signal_the_wait_is_over_when_it_is() -> None:
    assert not Stop().wait(0)


def test_a_signal_ends_a_step_that_cannot_look(stop: Stop) -> None:
    with pytest.raises(KeyboardInterrupt), stop.interrupting():
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)  # while things are being ended


def test_a_step_does_not_begin_after_a_signal(stop: Stop) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    begun = False
    with pytest.raises(KeyboardInterrupt), stop.interrupting():
        begun = True
    assert not begun


def test_after_such_a_step_a_signal_is_noted_again(stop: Stop) -> None:
    with stop.interrupting():
        pass
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.asked


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stop_signals():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
