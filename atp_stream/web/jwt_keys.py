"""The public keys of who issues JWTs: from a file or a URL, fetched again when one is not known, kept in an outage."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from atp_stream.errors import ConfigurationError
from atp_stream.web.errors import ApiError

log = logging.getLogger(__name__)

#: Seconds between two fetches at least: tokens with made-up key ids cannot have us ask the issuer all the time.
FETCH_EVERY_SECONDS: Final = 30.0
#: Seconds after which the keys are fetched again although all are known: one that was withdrawn is to go.
OLD_SECONDS: Final = 600.0
_TIMEOUT_SECONDS: Final = 5.0
_MOST_BYTES: Final = 256 << 10


class JwtKeys:
    """The keys at `place`, a path or an http(s) URL. `clock` in seconds.

    ConfigurationError: the file cannot be used at the start. A URL is asked when the first token comes.
    """

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._keys: dict[str, Any] = {}
        self._tried: float | None = None
        self._fetching = asyncio.Lock()
        if "://" not in place:
            try:
                self._keys = _parsed(_read(Path(place)))
            except (OSError, ValueError, RuntimeError) as error:  # the last: nobody has such a home directory
                raise ConfigurationError(
                    f"the keys of {place} cannot be used",
                    cause=_why(error),
                    setting="web.jwt_keys",
                    fix="give a file with the issuer's public keys as a JSON Web Key Set, or its URL",
                ) from None
            self._tried = clock()

    async def key(self, key_id: str | None) -> Any | None:
        """Return the key of this id (None: the only one there is); None: there is no such key.

        `ApiError` 503: no keys could be fetched yet.
        """
        found = self._find(key_id)
        age = None if self._tried is None else self._clock() - self._tried
        wanted = age is None or age >= (FETCH_EVERY_SECONDS if found is None else OLD_SECONDS)
        if wanted and not (found is not None and self._fetching.locked()):
            async with self._fetching:
                if age is None or self._tried is None or self._clock() - self._tried >= age:
                    await self._fetch()
            found = self._find(key_id)
        if found is None and not self._keys:
            raise ApiError(503, "UNAVAILABLE", "the keys to check tokens with cannot be fetched at the moment")
        return found

    def _find(self, key_id: str | None) -> Any | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        self._tried = self._clock()
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                raw = (
                    await _asked(self._place)
                    if "://" in self._place
                    else await asyncio.to_thread(_read, Path(self._place))
                )
            self._keys = _parsed(raw)
        except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:  # a timeout is an OSError
            log.error("the keys of %s cannot be used: %s; %d stay in force", self._place, _why(error), len(self._keys))


async def _asked(url: str) -> bytes:
    raw = b""
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client, client.stream("GET", url) as answer:
        if answer.status_code != 200:
            raise ValueError(f"status {answer.status_code}")
        async for part in answer.aiter_bytes():
            raw += part
            if len(raw) > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES} bytes")
    return raw


def _read(path: Path) -> bytes:
    with path.expanduser().open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    return raw


def _parsed(raw: bytes) -> dict[str, Any]:
    """Return the public keys by id. ValueError: it is no key set, or has no key that can check a signature."""
    try:
        document = json.loads(raw)
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            raise ValueError("not a JSON Web Key Set")
        found = KeySet.import_key_set({"keys": [key for key in document["keys"] if isinstance(key, dict)]})
    except (JoseError, TypeError, RecursionError) as error:
        raise ValueError(f"not a JSON Web Key Set ({type(error).__name__})") from None
    # A secret among them would let everybody who can read the keys make tokens.
    keys = {str(key.kid): key for key in found if not isinstance(key, OctKey) and key.get("use", "sig") == "sig"}
    if not keys:
        raise ValueError("there is no public key in it that checks signatures")
    return keys


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT_SECONDS:g} s"
    if isinstance(error, json.JSONDecodeError):
        return "not JSON"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
