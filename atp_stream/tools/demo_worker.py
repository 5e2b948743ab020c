"""The worker of the demo: a process of its own, as in production, that ends with the demo."""

import http.client
import ssl
import sys
from pathlib import Path
from typing import Final

from atp_stream.admin.web_port import free_port
from atp_stream.errors import AppError, SoftwareError
from atp_stream.local.process import Process
from atp_stream.settings import Settings
from atp_stream.settings.export import environment_of

_STOP_SECONDS: Final = 6.0
_ASK_SECONDS: Final = 1.0
_LOG_LINES: Final = 15
_TO_CONNECT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where others listen on all  # noqa: S104  # nosec B104
_KINDS: Final = {kind.exit_code: kind for kind in AppError.__subclasses__()}


class DemoWorker:
    """A worker with these settings, its state in `directory/worker` and its log in `directory/worker.log`."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._directory: Final = directory
        self.log: Final = directory / "worker.log"
        web = settings.web
        self._address: Final = (
            _TO_CONNECT.get(web.host, web.host),
            free_port(web.host, web.port, explicit=False),
        )
        self._certificate: Final = web.tls_certificate
        self._settings: Final = settings.replaced({"worker.data_dir": directory / "worker"})
        self._process: Process | None = None

    def start(self) -> None:
        """Start the process; the log of the run before is kept beside the new one, with `.1` added."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        nothing_set = self._directory / "no-settings.toml"
        nothing_set.write_text("# The demo hands its settings on to its worker in the environment.\n", encoding="utf-8")
        self._process = Process.start(
            [sys.executable, "-m", "atp_stream", "worker", "--no-input", "--web-port", str(self._address[1])],
            Path.cwd(),  # where `-m` may have found the program
            self.log,
            tied=True,
            environment=environment_of(self._settings, nothing_set),
        )

    @property
    def pid(self) -> int:
        """Number of the process; 0: not started."""
        return self._process.pid if self._process else 0

    @property
    def url(self) -> str:
        """Where its board is."""
        host, port = self._address
        scheme = "http" if self._certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"

    def require_running(self) -> None:
        """Raise what ended the worker, with the last lines of its log; do nothing while it runs."""
        process = self._process
        if process is None or process.alive():
            return
        code = process.exit_code
        lines = "\n  ".join(self.last_lines(_LOG_LINES))
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
        raise _KINDS.get(code or 0, SoftwareError)(
            f"the worker has ended ({how})",
            cause=f"the last lines of its log:\n  {lines}" if lines else "its log is empty",
            fix=f"see {self.log}",
        )

    def state(self) -> str:
        """Return how far it is: "starting", "restoring", "ready"; asked of the process itself."""
        connection = self._connection()
        try:
            connection.request("GET", "/health/ready")
            return "ready" if connection.getresponse().status == http.HTTPStatus.OK else "restoring"
        except (OSError, http.client.HTTPException):
            return "starting"
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._certificate is None:
            return http.client.HTTPConnection(*self._address, timeout=_ASK_SECONDS)
        # The worker's own certificate and no other: whoever signed it for whatever name, there is nobody else to be.
        trusted = ssl.create_default_context(cafile=str(self._certificate))
        trusted.check_hostname = False
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return http.client.HTTPSConnection(*self._address, timeout=_ASK_SECONDS, context=trusted)

    def last_lines(self, count: int) -> list[str]:
        """Return the end of its log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [line for line in text.splitlines() if line.strip()][-count:]

    def stop(self) -> None:
        """End it in order; one that takes too long is killed, which loses nothing that was committed."""
        if self._process is not None:
            self._process.end(_STOP_SECONDS)
