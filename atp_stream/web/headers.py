"""What every answer says to browsers: nothing is framed, guessed, cached, or told to other sites."""

from typing import Final

from aiohttp.web import BaseRequest, StreamResponse

from atp_stream.web.trace import TRACE_HEADER, trace_id_of

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "atp-stream",
}


def set_headers(request: BaseRequest, response: StreamResponse) -> None:
    """Add them to an answer that is about to be sent. What may be cached says so itself."""
    headers = response.headers
    headers.update(SECURITY_HEADERS)
    headers[TRACE_HEADER] = trace_id_of(request)
    if "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"


async def add_headers(request: BaseRequest, response: StreamResponse) -> None:
    """Do that as a signal of aiohttp."""
    set_headers(request, response)
