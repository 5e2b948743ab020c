"""The feed of the demo, which runs beside the live view."""

import threading
from typing import Final

from atp_stream.tools.feed import Feed
from atp_stream.tools.stopping import Stop

_JOIN_SECONDS: Final = 5.0


class DemoFeed:
    """A feed in a thread of its own."""

    def __init__(self, feed: Feed) -> None:
        self.feed: Final = feed
        self._stop: Final = Stop()
        self._failure: BaseException | None = None
        self._thread: Final = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def require_running(self) -> None:
        """Raise what ended it, if anything did."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End it, and release what it has reserved: the next demo begins with nothing reserved.

        AppError: events that were not delivered.
        """
        if not self._thread.is_alive():
            return
        self._stop.asked = True
        self._thread.join(_JOIN_SECONDS)
        self.feed.release_all()
        self.feed.close()

    def _run(self) -> None:
        try:
            self.feed.run(self._stop, None)
        except BaseException as failure:
            self._failure = failure
