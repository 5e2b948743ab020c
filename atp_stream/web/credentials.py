"""The files that the web server needs to know others by, and to be known by: tokens, keys, a certificate."""

import ssl

from atp_stream.errors import ConfigurationError
from atp_stream.settings import WebSettings
from atp_stream.web.auth import Authenticator
from atp_stream.web.oidc import Jwt
from atp_stream.web.tokens import Tokens


def check_files(settings: WebSettings) -> None:
    """Read them all. ConfigurationError: one of them cannot be used; to be known before anything is connected."""
    authenticator(settings)
    tls_context(settings)


def authenticator(settings: WebSettings) -> Authenticator | None:
    """Return what tells whose a token is; None: authentication is off. ConfigurationError: its file is wrong."""
    if settings.auth == "tokens":
        assert settings.tokens_file is not None
        return Tokens(settings.tokens_file)
    return Jwt(settings) if settings.auth == "jwt" else None


def tls_context(settings: WebSettings) -> ssl.SSLContext | None:
    """Return what the server proves itself with; None: it serves without TLS. ConfigurationError: files are wrong."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An empty password, so that a key with one is refused rather than asked for at a terminal.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")  # nosec B106
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigurationError(
            "the web server's certificate cannot be used",
            cause=str(getattr(error, "reason", None) or error).lower(),
            setting="web.tls_certificate",
            fix="give a certificate (with its chain) and its key, without a password, as PEM files",
        ) from None
    return context
