"""How a request is refused: one body, on every route and with every status.

`{"error": CODE, "message": text, "details": {...}, "timestamp": ISO 8601 UTC with ms, "traceId": 32 hex digits}`.
There is never a stack, a setting or what the client sent as a secret in it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp.web import Response

#: The code for what the server itself answers, by status.
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    414: "URI_TOO_LONG",
    421: "WRONG_HOST",
    429: "TOO_MANY_REQUESTS",
    431: "HEADERS_TOO_LARGE",
    500: "INTERNAL_ERROR",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """A request that is refused.

    code: for programs, in capitals. message: for people, without secrets. details: what a program may need besides.
    headers: more headers of the answer. A 503 always has Retry-After, in seconds: 1 unless given.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        if status == 503:
            self.headers.setdefault("Retry-After", "1")


def plain(status: int, message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """Return the error of a status that says all there is to say."""
    code = CODES.get(status) or ("INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST")
    return ApiError(status, code, message, headers=headers)


def error_response(error: ApiError, trace_id: str) -> Response:
    """Return the documented answer of an error."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {
        "error": error.code,
        "message": error.message,
        "details": error.details,
        "timestamp": moment,
        "traceId": trace_id,
    }
    return Response(
        status=error.status, body=msgspec.json.encode(body), content_type="application/json", headers=error.headers
    )
