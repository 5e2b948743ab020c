"""python-schema-registry-client with bounds: one connection pool, bounded answers, errors that say what to do."""

import asyncio
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from schema_registry.client import AsyncSchemaRegistryClient

from atp_stream.contracts.errors import RegistryRefused, RegistryUnreachable, RegistryUntrusted, printable

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Largest answer that is read; the largest schema in use anywhere is far smaller."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class AnswerTooLarge(RegistryUnreachable):
    """The registry answered with more than ``MAX_ANSWER_BYTES``."""


class RegistryClient(AsyncSchemaRegistryClient):
    """The library's client, with the one place that all of its requests go through made safe.

    The library takes any answer of any size, follows each request with a new client and a new TLS context, sends an
    empty user name where there is none, and uses ``ca_location`` only together with a client certificate.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None,
        password: str | None,
        ca_location: str | None,
        timeout_seconds: float,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        # httpx.Auth on its own adds nothing to a request.
        auth = httpx.Auth() if username is None else httpx.BasicAuth(username, password or "")
        super().__init__(url, auth=auth, timeout=httpx.Timeout(timeout_seconds))
        self._seconds: Final = timeout_seconds
        if ca_location is not None:
            self.client_kwargs["verify"] = ssl.create_default_context(cafile=ca_location)
        # A proxy of this machine's environment does not lead back to this machine.
        self.client_kwargs["trust_env"] = urlsplit(url).hostname not in _LOOPBACK
        if transport is not None:
            self.client_kwargs["transport"] = transport
        self._http: httpx.AsyncClient | None = None

    async def request(
        self,
        url: str,
        method: str = "GET",
        body: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        timeout: Any = httpx.USE_CLIENT_DEFAULT,  # noqa: ASYNC109 - the library's signature
    ) -> httpx.Response:
        """Return a JSON answer, whatever its status among those that mean something about the request.

        Raises ``RegistryUnreachable`` (``AnswerTooLarge`` among them) and ``RegistryRefused``.
        """
        if self._http is None:
            self._http = httpx.AsyncClient(**self.client_kwargs)
        # Compressed, a small answer could become a large one.
        sent = {**self.prepare_headers(body=body, headers=headers), "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._http.stream(method, url, headers=sent, json=body, params=params, timeout=timeout) as answer,
            ):
                _check_status(answer)
                content = bytearray()
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise AnswerTooLarge(f"{url} answered with more than {MAX_ANSWER_BYTES} bytes")
        except TimeoutError:
            raise RegistryUnreachable(f"{url} did not answer within {self._seconds:g} s") from None
        except httpx.RequestError as error:
            kind = RegistryUntrusted if _is_about_trust(error) else RegistryUnreachable
            raise kind(f"{url}: {type(error).__name__}: {printable(str(error))}") from error
        response = httpx.Response(answer.status_code, content=bytes(content), request=answer.request)
        if not _is_of_a_registry(response):
            raise RegistryUnreachable(
                f"{url} answered {answer.status_code}, and not as a schema registry: is the path of its API in the url?"
            )
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None


def _is_about_trust(error: BaseException) -> bool:
    """Return whether the server's certificate is behind it; httpx and httpcore put errors of their own around that."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _check_status(answer: httpx.Response) -> None:
    status, url = answer.status_code, answer.request.url
    if status in (401, 403):
        raise RegistryRefused(f"{url} refused access ({status})")
    if status >= 500 or status in (407, 408, 425, 429) or answer.is_redirect:
        raise RegistryUnreachable(f"{url} answered {status}")


def _is_of_a_registry(response: httpx.Response) -> bool:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return False
    if response.status_code != 404:
        return True
    # Any server says 404 about a path that it does not know, Apicurio with an error code of 0 or 404. A registry that
    # means the id, subject or version says 40401 and the like. Taking one for the other would lose every event.
    code = answer.get("error_code") if isinstance(answer, dict) else None
    return isinstance(code, int) and 40400 <= code < 40500
