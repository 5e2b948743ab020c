"""Counts the requests that the web server answered."""

from typing import Final

from atp_stream.telemetry.metrics import Metrics
from atp_stream.web.guard import Answered

#: A client may send any word for a method; only these become labels.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestCounts:
    """An observer of requests."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, answered: Answered) -> None:
        """Count one request."""
        method = answered.method if answered.method in _METHODS else "other"
        self._metrics.requests.labels(answered.route, method, str(answered.status)).inc()
        if not answered.is_stream:
            self._metrics.request_seconds.labels(answered.route).observe(answered.seconds)
