"""Logs stay readable while a broker is away."""

import logging

from atp_stream.observability import Repeats


def _record(name: str, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, None)


def test_given_a_client_that_repeats_itself_when_seconds_pass_then_one_line_is_shown_with_the_number_left_out() -> None:
    now = [0.0]
    repeats = Repeats(lambda: now[0])
    shown = [repeats.filter(_record("aiokafka", "Unable connect to node with id %s", n)) for n in range(5)]
    assert shown == [True, False, False, False, False]
    now[0] = 6.0
    again = _record("aiokafka", "Unable connect to node with id %s", 9)
    assert repeats.filter(again)
    assert again.getMessage() == "Unable connect to node with id 9 (4 more like it)"


def test_given_lines_of_different_kinds_when_they_come_together_then_each_is_shown() -> None:
    repeats = Repeats(lambda: 0.0)
    assert repeats.filter(_record("aiokafka", "Unable connect"))
    assert repeats.filter(_record("aiokafka", "Unable to update metadata"))


def test_given_our_own_lines_when_they_repeat_then_all_are_shown() -> None:
    repeats = Repeats(lambda: 0.0)
    assert all(repeats.filter(_record("atp_stream.streaming.engine", "a transaction ended")) for _ in range(3))
