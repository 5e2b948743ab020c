"""What ends the streaming part on purpose, as an error for people with an exit code: the same for worker and tools."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from atp_stream.errors import (
    AppError,
    ConfigurationError,
    DataError,
    PermissionDeniedError,
    TemporaryError,
    UnavailableError,
)
from atp_stream.streaming.errors import (
    ClusterTooOld,
    ClusterUnreachable,
    DeadLetterFlood,
    NoProgress,
    NotPermitted,
    StateMismatch,
    StateUnusable,
    StreamingError,
)

_KINDS: Final[Mapping[type[StreamingError], type[AppError]]] = {
    ClusterUnreachable: UnavailableError,
    ClusterTooOld: ConfigurationError,
    NotPermitted: PermissionDeniedError,
    StateMismatch: DataError,
    DeadLetterFlood: DataError,
    NoProgress: UnavailableError,
    StateUnusable: TemporaryError,
}


def app_error(failure: StreamingError) -> AppError:
    """Return the error that says the same to a person."""
    return _KINDS[type(failure)](failure.message, cause=failure.cause, fix=failure.fix)


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn what the streaming part raises into errors with exit codes."""
    try:
        yield
    except StreamingError as failure:
        raise app_error(failure) from failure
