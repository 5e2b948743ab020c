"""Bearer tokens from a file that is read again when it changes."""

import hmac
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from atp_stream.errors import ConfigurationError
from atp_stream.web.auth import Principal, unauthenticated
from atp_stream.web.token_file import Entry, digest, read_tokens

log = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 1.0


class Tokens:
    """The tokens of a file. `clock` in seconds; `now` is what a token's expiry is held against.

    A file that is broken when it is read again changes nothing: who was let in is let in. ConfigurationError: it is
    broken at the start.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = path
        self._clock = clock
        self._now = now
        self._stamp = self._stamped()
        self._entries = _by_digest(path)
        self._looked = clock()

    async def principal(self, token: str) -> Principal:
        """Return whose token it is. `ApiError` 401: nobody's, or it has expired."""
        self._look()
        hashed = digest(token)
        # Found by its hash, of which who guesses tokens learns nothing, however long the search takes.
        entry = self._entries.get(hashed)
        if entry is None or not hmac.compare_digest(entry.sha256, hashed):
            raise unauthenticated("the token is not known", given=True)
        if entry.expires is not None and entry.expires <= self._now():
            raise unauthenticated("the token has expired", given=True)
        return entry.principal

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK_EVERY_SECONDS:
            return
        self._looked = now
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._entries = _by_digest(self._path)
        except ConfigurationError as error:
            log.error("%s: %s; the tokens read before stay in force", error.message, error.cause)
        else:
            log.info("the tokens file was read again: %d tokens", len(self._entries))

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _by_digest(path: Path) -> dict[str, Entry]:
    return {entry.sha256: entry for entry in read_tokens(path).values()}
