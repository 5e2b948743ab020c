"""What the settings of the web server must be towards each other: nobody gets in by a setting that was forgotten."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from atp_stream.errors import ConfigurationError
from atp_stream.settings import WebSettings
from atp_stream.settings.names import env_name, path_of

Check = tuple[tuple[str, ...], ConfigurationError]

_EVERY_ADDRESS = ("0.0.0.0", "::")  # compared with, not listened on  # noqa: S104  # nosec B104


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone. A name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def web_checks(web: WebSettings) -> Iterator[Check]:
    """Yield every contradiction: (names of the settings involved, error)."""
    if web.auth == "off" and not web.insecure and not is_loopback(web.host):
        yield _error(
            ("web.auth", "web.host", "web.insecure"),
            f"web.host is {web.host}, which others can reach, and web.auth is off",
            "everybody there could read the stock of all tenants",
            "set web.auth to tokens (see `atp-stream tokens create`) or jwt, or web.host to 127.0.0.1; "
            "web.insecure = true serves it to everybody nevertheless",
        )
    if web.host in _EVERY_ADDRESS and web.advertised_url is None:
        yield _error(
            ("web.advertised_url", "web.host"),
            "web.advertised_url is missing",
            f"web.host is {web.host}, which is not an address at which the other workers could reach this one",
            f"{_set('web.advertised_url')}, such as http://worker-1.example.com:{web.port or 6066}",
        )
    yield from _needed(web)
    yield from _keys(web)
    for present, absent in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
        if getattr(web, present) and not getattr(web, absent):
            yield _error(
                (f"web.{absent}", f"web.{present}"),
                f"web.{absent} is missing",
                f"web.{present} is set, and TLS needs both files",
                _set(f"web.{absent}"),
            )


def _needed(web: WebSettings) -> Iterator[Check]:
    """Each way of authentication has its own settings, and those of the other are of no use."""
    of = {"tokens": ("tokens_file",), "jwt": ("jwt_issuer", "jwt_audience", "jwt_keys")}
    for auth, keys in of.items():
        for key in keys:
            name, given = f"web.{key}", bool(getattr(web, key))
            if web.auth == auth and not given:
                yield _error((name, "web.auth"), f"{name} is missing", f"web.auth = {auth} needs it", _set(name))
            elif given and web.auth != auth and auth == "jwt":
                yield _error(
                    (name, "web.auth"),
                    f"{name} is set but not used",
                    f"web.auth is {web.auth}",
                    f"set web.auth to {auth}, or remove {name}",
                )


def _keys(web: WebSettings) -> Iterator[Check]:
    if web.jwt_keys is None or "://" not in web.jwt_keys:
        return
    try:
        url = urlsplit(web.jwt_keys)
        scheme, host = url.scheme, url.hostname or ""
    except ValueError:  # an IPv6 address that is none
        scheme, host = "", ""
    if not host or (scheme != "https" and not (scheme == "http" and is_loopback(host))):
        yield _error(
            ("web.jwt_keys",),
            "web.jwt_keys is neither a file nor an https URL",
            "whoever can change the keys on their way can make tokens",
            "give an https:// URL, or the path of a file with the keys",
        )


def _error(names: tuple[str, ...], message: str, cause: str, fix: str) -> Check:
    return names, ConfigurationError(message, cause=cause, setting=names[0], fix=fix)


def _set(name: str) -> str:
    return f"set {name} ({env_name(path_of(name))})"
