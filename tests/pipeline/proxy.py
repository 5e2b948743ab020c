"""A TCP proxy on this machine whose port can be closed and opened again: a service that is away for a while."""

import select
import socket
import threading
from types import TracebackType
from typing import Self

_POLL_SECONDS = 0.05


class Proxy:
    """Passes connections on to `host:port` while it is open."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.port = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.open()

    @property
    def is_open(self) -> bool:
        return not self._stop.is_set()

    def open(self) -> None:
        """Accept connections, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self.port = listener.getsockname()[1]
        self._stop = threading.Event()
        self._run(self._accept, listener, self._stop)

    def close(self) -> None:
        """Refuse connections, and break those there are."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _accept(self, listener: socket.socket, stop: threading.Event) -> None:
        with listener:
            while not stop.is_set():
                if select.select([listener], [], [], _POLL_SECONDS)[0]:
                    self._run(self._pass_on, listener.accept()[0], stop)

    def _pass_on(self, client: socket.socket, stop: threading.Event) -> None:
        with client, socket.create_connection(self._target) as server:
            other = {client: server, server: client}
            while not stop.is_set():
                for ready in select.select(list(other), [], [], _POLL_SECONDS)[0]:
                    try:
                        data = ready.recv(65536)
                    except ConnectionResetError:
                        return
                    if not data:
                        return
                    other[ready].sendall(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
