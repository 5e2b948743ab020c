"""What a worker's web API refuses, and why it is not reached, as errors that a person can act on."""

from typing import Any, Final

import httpx
import msgspec

from atp_stream.errors import (
    AppError,
    ConfigurationError,
    DataError,
    PermissionDeniedError,
    TemporaryError,
    UnavailableError,
    UsageError,
)
from atp_stream.settings import ClientSettings

_SHORTEST, _LONGEST = 1.0, 60.0
_SET_URL: Final = "set client.url (ATP_CLIENT__URL) to the address of a worker"


class Later(TemporaryError):
    """The worker cannot tell yet; seconds: when to ask again."""

    def __init__(self, told: str, seconds: float) -> None:
        super().__init__(
            "the worker cannot tell yet",
            cause=told,
            fix="try again in a while, or let --wait wait longer; `atp-stream workers` shows what workers are at",
        )
        self.seconds: Final = seconds


class _Problem(msgspec.Struct):
    """The body of every error of the API."""

    error: str
    message: str
    details: dict[str, Any] = {}


def unreachable(url: str, error: httpx.TransportError, client: ClientSettings) -> AppError:
    """Return why nothing came back."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ConfigurationError(
            f"the certificate of {url} is not trusted",
            cause=str(error),
            setting="client.ca_location",
            fix="set client.ca_location to the authority that signed it, or correct the name in client.url",
        )
    whose = "client.url names it" if client.url else "client.url is not set"
    return UnavailableError(
        f"no worker answers at {url}",
        cause=f"{_reason(error)}; {whose}",
        setting="client.url",
        fix=f"start a worker (`atp-stream worker`), or {_SET_URL}",
    )


def refused(url: str, answer: httpx.Response, client: ClientSettings) -> AppError:
    """Return what an answer that is none stands for: `Later`, or an error of the kind that fits the status."""
    status = answer.status_code
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.MsgspecError:
        return UnavailableError(
            f"what answers at {url} is no worker of atp-stream",
            cause=f"status {status}, without the body that goes with it",
            setting="client.url",
            fix=_SET_URL,
        )
    told = f"{problem.error}: {problem.message}"
    if status in (429, 503):
        return Later(told, _seconds(answer.headers.get("Retry-After")))
    if status == 401:
        return PermissionDeniedError(
            "the worker asks for a token" if client.token is None else "the worker does not accept the token",
            cause=told,
            setting="client.token",
            fix="set it in the environment (ATP_CLIENT__TOKEN)",
        )
    if status == 403:
        return PermissionDeniedError(
            "the token is not good for that",
            cause=told,
            setting="client.token",
            fix="use one of that tenant and role (ATP_CLIENT__TOKEN)",
        )
    if problem.error == "TENANT_REQUIRED":
        return UsageError("the tenant is missing", cause=told, fix="give --tenant, or the item as TENANT/ITEM")
    if status == 404:
        return DataError("that is not known", cause=told, fix="see `atp-stream items` for what is")
    if status < 500:
        return UsageError("the worker refuses the question", cause=told, fix="correct what was asked for")
    return UnavailableError(f"the worker at {url} failed", cause=told, fix="look into the log of that worker")


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    text = str(error) or type(error).__name__
    return "connection refused" if "refused" in text.lower() else text


def _seconds(retry_after: str | None) -> float:
    text = retry_after or ""
    return min(max(float(text), _SHORTEST), _LONGEST) if text.isascii() and text.isdigit() else _SHORTEST
