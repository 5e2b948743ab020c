"""Logs: one line per event on stderr, as text for a person or as JSON for a machine."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Literal

import structlog

#: What Faust and the Kafka clients say at their own level of detail is of interest only when it goes wrong.
_LIBRDKAFKA = "atp_stream.streaming.librdkafka"
_QUIET = ("aiokafka", "faust", "mode", "asyncio", "httpx", "httpcore")


class Repeats(logging.Filter):
    """Lets one line of a kind through every few seconds.

    A broker that is away makes each of the Kafka clients say so several times a second. What differs in its arguments
    only is of the same kind; `clock` is in seconds.
    """

    _EVERY_SECONDS = 5.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is to be shown; say how many were not."""
        if record.name.startswith("atp_stream") and record.name != _LIBRDKAFKA:
            return True
        kind = (record.name, record.levelno, str(record.msg)[:60])
        now = self._clock()
        last, dropped = self._seen.get(kind, (-self._EVERY_SECONDS, 0))
        if now - last < self._EVERY_SECONDS:
            self._seen[kind] = (last, dropped + 1)
            return False
        if dropped:
            record.msg, record.args = f"{record.getMessage()} ({dropped} more like it)", ()
        self._seen[kind] = (now, 0)
        return True


def set_up_logging(level: str, form: Literal["text", "json"]) -> None:
    """Send all logs of this process to stderr from here on. `level` holds for atp_stream; libraries warn only."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.typing.Processor]
    if form == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # locals may hold secrets
        renderer = [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback  # without locals, which may hold secrets
        renderer = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
