"""A `atp-stream dead-letters replay` that is killed at a step of its transaction. Called as that is."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from atp_stream.cli import main
from atp_stream.streaming.producer import TransactionalProducer

#: Environment variable: at which of `STEPS`.
STEP = "TEST_KILLED_AT"
STEPS = ("started", "begun", "produced", "committed")

_start, _begin, _commit = TransactionalProducer.start, TransactionalProducer.begin, TransactionalProducer.commit


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        result = call(*arguments)
        if os.environ[STEP] == step:
            _die()
        return result

    return wrapped


def _committing(self: TransactionalProducer, offsets: Sequence[Any], membership: Any) -> Any:
    if os.environ[STEP] == "produced":
        self._ready().flush()
        _die()
    return _after("committed", _commit)(self, offsets, membership)


if __name__ == "__main__":
    TransactionalProducer.start = _after("started", _start)  # type: ignore[method-assign]
    TransactionalProducer.begin = _after("begun", _begin)  # type: ignore[method-assign]
    TransactionalProducer.commit = _committing  # type: ignore[method-assign]
    sys.exit(main(["dead-letters", "replay", *sys.argv[1:]]))
