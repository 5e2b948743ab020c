"""The web server of one worker, as it is set: who is let in, and by which names it is called."""

import logging
from urllib.parse import urlsplit

import faust

from atp_stream.settings import WebSettings
from atp_stream.settings.web_checks import is_loopback
from atp_stream.web.credentials import authenticator
from atp_stream.web.guard import Guard
from atp_stream.web.rate import Rate
from atp_stream.web.server import Web

log = logging.getLogger(__name__)

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def open_web(app: faust.App, settings: WebSettings) -> Web:
    """Return the app's web server, without a route yet. ConfigurationError: a file that it needs is wrong."""
    web = Web(app, guard_of(settings), settings.max_connections)
    app.web = web
    _warn(settings)
    return web


def guard_of(settings: WebSettings) -> Guard:
    """Return what every request goes through, as it is set."""
    hosts = None
    if settings.auth == "off":
        advertised = urlsplit(settings.url).hostname or ""
        hosts = frozenset({*_LOOPBACK_NAMES, settings.host.lower(), advertised})
    return Guard(authenticator(settings), Rate(settings.requests_per_second), settings.url.lower(), hosts)


def _warn(settings: WebSettings) -> None:
    if is_loopback(settings.host):
        return
    if settings.auth == "off":
        log.warning(
            "web.insecure: everybody who reaches %s can read the stock of all tenants, without authentication",
            settings.url,
        )
    elif settings.tls_certificate is None and not settings.url.startswith("https://"):
        log.warning(
            "tokens travel to %s unencrypted: set web.tls_certificate, or put a proxy with TLS there", settings.url
        )
