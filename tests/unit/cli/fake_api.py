"""A worker's web API as the commands see it: answers that a test lays down, and what was asked."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Headers = dict[str, str]


@dataclass
class FakeApi:
    """answers: given one after the other, the last one for ever. asked: path with query, and headers, of each."""

    url: str = ""
    answers: list[tuple[int, Headers, bytes]] = field(default_factory=list)
    asked: list[tuple[str, Headers]] = field(default_factory=list)

    def answer(self, body: str, status: int = 200, **headers: str) -> None:
        self.answers.append((status, {name.replace("_", "-"): text for name, text in headers.items()}, body.encode()))

    def refuse(self, status: int, code: str, message: str = "because", **headers: str) -> None:
        body = f'{{"error":"{code}","message":"{message}","details":{{}},"timestamp":"t","traceId":"0"}}'
        self.answer(body, status, **headers)

    def next(self) -> tuple[int, Headers, bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def fake_api(certificate: ssl.SSLContext | None = None) -> Iterator[FakeApi]:
    """Serve on a free port of this machine while the block runs."""
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.asked.append((self.path, {name.lower(): text for name, text in self.headers.items()}))
            status, headers, body = api.next()
            self.send_response(status)
            for name, text in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that does not trust the certificate goes away

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        server.socket = certificate.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    api.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
