"""How many requests one principal may make."""

import math
import time
from collections.abc import Callable

from atp_stream.web.errors import plain

#: Principals remembered; with JWT their names come from outside. Who is forgotten starts with a full second's worth.
_MOST_NAMES = 10_000


class Rate:
    """`per_second` requests a second for each name, and as many at once after a second of rest."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        # When the allowance of a name is full again: one number instead of a count and a time.
        self._full_at: dict[str, float] = {}

    def take(self, name: str) -> None:
        """Count one request. `ApiError` 429: it is one too many; it says after how many seconds to come again."""
        now = self._clock()
        full_at = max(now, self._full_at.get(name, 0.0)) + 1 / self._per_second
        if full_at - now > 1.0 + 1e-9:
            wait = max(1, math.ceil(full_at - now - 1.0))
            raise plain(429, f"more than {self._per_second:g} requests a second", {"Retry-After": str(wait)})
        if name not in self._full_at and len(self._full_at) >= _MOST_NAMES:
            self._full_at = {known: at for known, at in self._full_at.items() if at > now}
            if len(self._full_at) >= _MOST_NAMES:
                self._full_at.clear()
        self._full_at[name] = full_at
