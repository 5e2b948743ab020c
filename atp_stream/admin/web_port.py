"""Choosing the port of the web view, so that a second worker on one machine just works."""

import errno
import socket

from atp_stream.errors import ConfigurationError, PermissionDeniedError, TemporaryError

SETTING = "web.port"


def is_free(host: str, port: int) -> bool:
    """Tell whether this process could listen there. Errors: ConfigurationError (host), PermissionDeniedError (port)."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError:
        raise PermissionDeniedError(
            f"port {port} needs more rights",
            cause="ports below 1024 are for privileged users",
            setting=SETTING,
            fix="choose a port of 1024 or more",
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise ConfigurationError(
            f"cannot listen on {host}",
            cause=(error.strerror or str(error)).lower(),
            setting="web.host",
            fix="set web.host to an address of this machine, such as 127.0.0.1",
        ) from None
    return True


def free_port(host: str, port: int, *, explicit: bool) -> int:
    """Return `port`, or, where it is the default and taken, a free one. 0 asks for a free one.

    TemporaryError: it was set explicitly and is taken.
    """
    if port and is_free(host, port):
        return port
    if port and explicit:
        raise TemporaryError(
            f"port {port} on {host} is taken",
            cause="another program listens there",
            setting=SETTING,
            fix="stop that program, choose another port, or leave web.port unset: a free port is then chosen",
        )
    is_free(host, 0)
    family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])
