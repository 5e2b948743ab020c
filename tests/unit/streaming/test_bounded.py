"""A call into a client library that never returns must not hold up the worker."""

import threading

import pytest

from atp_stream.streaming.bounded import Hung, bounded
from atp_stream.streaming.errors import Superseded


def test_given_a_call_that_returns_when_bounded_then_its_result_is_returned() -> None:
    assert bounded(lambda: 7, 10) == 7


def test_given_a_call_that_fails_when_bounded_then_its_own_exception_comes_out() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        bounded(fail, 10)


def test_given_a_call_that_does_not_come_back_when_bounded_then_it_is_left_behind() -> None:
    end = threading.Event()
    with pytest.raises(Hung):
        bounded(end.wait, 0.01)
    end.set()


def test_given_a_call_that_is_of_no_use_any_more_when_bounded_then_it_is_left_behind_at_once() -> None:
    end, asked = threading.Event(), iter((False, True))
    with pytest.raises(Superseded):
        bounded(end.wait, 600, lambda: next(asked))
    end.set()
