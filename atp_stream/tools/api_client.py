"""Asking a worker over its web API. What goes wrong is told as in api_errors.py."""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from atp_stream.admin.data_dir import url_of_a_worker
from atp_stream.errors import ConfigurationError
from atp_stream.settings import Settings
from atp_stream.tools.api_errors import Later, refused, unreachable

_SECONDS: Final = 20.0
"""Longer than a worker takes for an answer, waiting for its like included."""
_DEFAULT_URL: Final = "http://127.0.0.1:6066"


@dataclass(frozen=True, slots=True)
class Answer:
    """body: the JSON as the worker wrote it."""

    body: bytes
    headers: Mapping[str, str]


class ApiClient:
    """Asks any worker of the cluster. To be closed.

    wait: for how many seconds an answer that is not there yet (503, 429) is asked for again. sleep: waits for so many
    seconds; returns whether to give up.
    """

    def __init__(self, settings: Settings, wait: float, sleep: Callable[[float], bool]) -> None:
        self._settings: Final = settings
        self._wait: Final = wait
        self._sleep: Final = sleep
        token = settings.client.token
        self._http: Final = httpx.Client(
            verify=_trust(settings),
            timeout=_SECONDS,
            headers={} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"},
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """Return the answer to a GET. `AppError`: what api_errors.py says."""
        until = time.monotonic() + self._wait
        while True:
            try:
                return self._ask(path, parameters)
            except Later as later:
                if time.monotonic() + later.seconds > until or self._sleep(later.seconds):
                    raise

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Answer:
        # Anew each time: the worker that was asked before may have ended, and another one run.
        url = address(self._settings)
        try:
            answer = self._http.get(url + path, params=dict(parameters))
        except httpx.TransportError as error:
            raise unreachable(url, error, self._settings.client) from None
        if answer.status_code != 200:
            raise refused(url, answer, self._settings.client)
        return Answer(answer.content, answer.headers)


def address(settings: Settings) -> str:
    """Return the address of a worker: the one that is set, or one that runs on this machine, or the default."""
    return settings.client.url or url_of_a_worker(settings.worker.data_dir) or _DEFAULT_URL


def _trust(settings: Settings) -> ssl.SSLContext:
    location = settings.client.ca_location
    try:
        return ssl.create_default_context(cafile=str(location) if location else None)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{location} holds no certificates",
            cause=error.reason or str(error),
            setting="client.ca_location",
            fix="give a file in PEM format with the certificate of the authority",
        ) from None
