"""Free TCP ports of the loopback interface."""

import secrets
import socket
import sys
from collections.abc import Collection

HOST = "127.0.0.1"
#: Below the ports that systems hand out to outgoing connections, so that none is taken between the choice and the use.
_RANGE = range(15_000, 32_000)


def free_port(preferred: int | None = None, taken: Collection[int] = ()) -> int:
    """Return the preferred port if it is free, else any free port that is not among the taken ones."""
    if preferred is not None and is_free(preferred):
        return preferred
    while True:
        port = _RANGE[secrets.randbelow(len(_RANGE))]
        if port not in taken and is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server can listen on the port."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # servers set it too: a connection that ended a moment ago is no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
    with socket.socket() as probe:  # some systems let a second server listen beside one that listens on every address
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) != 0
