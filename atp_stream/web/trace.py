"""The trace id of a request: the caller's (header `traceparent`, W3C Trace Context), else a random one."""

import os
import re
from typing import Final

import structlog
from aiohttp.web import BaseRequest, RequestKey

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

TRACE: Final = RequestKey("trace", str)
TRACE_HEADER: Final = "Atp-Trace-Id"


def begin_trace(request: BaseRequest) -> str:
    """Give the request its trace id, and every log line of it too: each request is handled in a context of its own."""
    given = request.headers.get("traceparent")
    match = None if given is None else _TRACEPARENT.fullmatch(given)
    trace_id = os.urandom(16).hex() if match is None else match[1]
    request[TRACE] = trace_id
    structlog.contextvars.bind_contextvars(trace_id=trace_id)
    return trace_id


def trace_id_of(request: BaseRequest) -> str:
    """Return the trace id of a request, 32 hex digits."""
    found: str = request.get(TRACE) or begin_trace(request)
    return found
