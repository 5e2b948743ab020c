"""Whatever ends the streaming part has an exit code, which worker and tools share."""

import pytest

from atp_stream.admin.streaming_errors import app_error, errors_for_people
from atp_stream.errors import AppError
from atp_stream.streaming import errors
from atp_stream.streaming.errors import StreamingError

EXIT_CODES = {
    errors.ClusterUnreachable: 69,
    errors.ClusterTooOld: 78,
    errors.NotPermitted: 77,
    errors.StateMismatch: 65,
    errors.DeadLetterFlood: 65,
    errors.NoProgress: 69,
    errors.StateUnusable: 75,
}


def kinds(of: type[StreamingError] = StreamingError) -> set[type[StreamingError]]:
    return {each for kind in of.__subclasses__() for each in (kind, *kinds(kind))}


def test_given_any_error_of_the_streaming_part_when_it_is_told_then_it_has_its_exit_code() -> None:
    assert kinds() == EXIT_CODES.keys()
    for kind, code in EXIT_CODES.items():
        told = app_error(kind("message", cause="cause", fix="fix"))
        assert (told.exit_code, told.message, told.cause, told.fix) == (code, "message", "cause", "fix")


def test_given_a_command_when_the_streaming_part_ends_it_then_it_is_an_error_for_people() -> None:
    with pytest.raises(AppError) as raised, errors_for_people():
        raise errors.StateMismatch("message")
    assert raised.value.exit_code == 65
