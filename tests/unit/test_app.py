"""What ends a worker, and the exit code that says so."""

import errno
import logging

import pytest

from atp_stream.app import _known
from atp_stream.settings import Settings
from atp_stream.streaming.errors import ClusterTooOld, ClusterUnreachable, StateMismatch, StateUnusable, StreamingError

SETTINGS = Settings()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (StateMismatch("m", cause="c", fix="f"), 65),
        (ClusterUnreachable("m", cause="c", fix="f"), 69),
        (StateUnusable("m", cause="c", fix="f"), 75),
        (ClusterTooOld("m", cause="c", fix="f"), 78),
        (OSError(errno.ENOSPC, "no space left"), 75),
        (ZeroDivisionError(), 70),
    ],
)
def test_given_a_worker_that_hangs_while_it_ends_with_a_failure_then_the_watchdog_knows_its_code(
    failure: BaseException, code: int
) -> None:
    logging.disable()
    try:
        known = _known(failure, SETTINGS)
    finally:
        logging.disable(logging.NOTSET)
    assert known is not None
    assert known.code == code
    if isinstance(failure, StreamingError):
        assert known.told == "m: c; f"


def test_given_a_worker_that_was_only_told_to_end_then_nothing_is_known() -> None:
    assert _known(None, SETTINGS) is None
