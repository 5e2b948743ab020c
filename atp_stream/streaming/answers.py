"""How a call of the transactional producer ended, and what is heard of its connections meanwhile."""

import logging
import re
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from .bounded import Hung, bounded
from .errors import NotPermitted
from .refusals import refuse

#: What librdkafka says of a connection that was in use, when it has lost it (also by a request that timed out). Behind
#: the state it may add how many errors of the same kind it has kept to itself.
_FAILED, _WHILE_CONNECTED = "FAIL", re.compile(r"in state (UP|REAUTH)[,)]")

_WRONG_ORDER = frozenset({KafkaError._CONFLICT, KafkaError._PREV_IN_PROGRESS})


class ConnectionWatch:
    """A logger for librdkafka that notes whether a connection was lost; what it is told goes on to `logger`.

    Nothing but the log says so: librdkafka repeats what was lost by itself, and its error callback is not called.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self.lost = False

    def log(self, level: int, message: str, *arguments: object) -> None:
        """Take one message of librdkafka's: facility, name of the client, text."""
        if arguments and arguments[0] == _FAILED and _WHILE_CONNECTED.search(str(arguments[-1])):
            self.lost = True
        self._logger.log(level, message, *arguments)


def failure_of(call: Callable[[], object], seconds: float) -> KafkaError | None:
    """Make a call, and return how it failed, if it did.

    One that has not come back after so many seconds counts as fatal: its producer is of no use any more, and a new one
    settles what it left. Raises `RuntimeError` where calls were made in the wrong order: a bug of ours.
    """
    try:
        bounded(call, seconds)
    except KafkaException as failure:
        error: KafkaError = failure.args[0]
        if error.code() in _WRONG_ORDER:  # which librdkafka calls retriable
            raise RuntimeError(f"{error.str()}: calls of the transactional producer in the wrong order") from failure
        return error
    except Hung:
        return KafkaError(KafkaError._TIMED_OUT, "the call hangs, its producer is given up", fatal=True)
    return None


def refuse_for_good(error: KafkaError) -> None:
    """Raise `NotPermitted` if the error is a refusal that no retry will change."""
    refuse(error)
    if error.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT:
        raise NotPermitted(
            "the broker refuses the transaction timeout",
            cause=error.str(),
            fix="raise transaction.max.timeout.ms of the brokers to 5000 or more",
        )
