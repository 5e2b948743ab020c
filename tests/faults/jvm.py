"""One node of Kafka as a Java process with a directory, formatted and started as `atp_stream.local` does it."""

import base64
import os
import re
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from atp_stream.local.process import ENVIRONMENT, Process
from atp_stream.local.software import fetch

_HEAP = "256m"
_JAVA = (f"-Xmx{_HEAP}", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true")
_FORMAT_SECONDS = 60
_LOG_LINES = 15

_LOGGING = {
    "appender.out.type": "Console",
    "appender.out.name": "out",
    "appender.out.layout.type": "PatternLayout",
    "appender.out.layout.pattern": "%d %p %m (%c)%n",
    "rootLogger.level": "WARN",
    "rootLogger.appenderRef.out.ref": "out",
}


class Node:
    """A broker or controller. Its settings and logs lie in `directory`, its data in `data`, through all restarts."""

    def __init__(self, directory: Path, data: Path) -> None:
        self.directory, self.data = directory, data
        self.process: Process | None = None
        self._runs = 0

    @property
    def log(self) -> Path:
        """The log file of the present run."""
        return self.directory / f"kafka-{self._runs}.log"

    def configure(self, properties: Mapping[str, str]) -> None:
        """Write its settings."""
        (self.directory / "tmp").mkdir(parents=True, exist_ok=True)
        _write(self.directory / "server.properties", {**properties, "log.dirs": str(self.data)})
        _write(self.directory / "log4j2.properties", _LOGGING)

    def command(self, *main: str) -> list[str | Path]:
        """Return the command that runs a Java class of Kafka in its directory."""
        software = fetch()
        options = ("-Djava.io.tmpdir=tmp", "-Dlog4j2.configurationFile=log4j2.properties")
        return [software.java, *_JAVA, *options, "-cp", f"{software.kafka_jars}/*", *main]

    def start(self) -> None:
        """Start the process, without waiting for it to serve."""
        if self.process is not None and self.process.alive():
            raise RuntimeError(f"{self.directory.name} runs already")
        self._runs += 1
        command = self.command("kafka.Kafka", "server.properties")
        self.process = Process.start(command, self.directory, self.log, tied=True)

    def kill(self) -> None:
        """End it at once, paused or not."""
        if self.process is not None:
            self.process.kill()

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def last_lines(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]) if self.log.exists() else ""


def format_data(nodes: Mapping[int, Node]) -> None:
    """Make the data directories of one new cluster.

    Kafka's tool makes the first; the others get the same files with a name of their own, which spares a Java process.
    """
    first, *_ = nodes.values()
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = first.command(
        "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config", "server.properties"
    )
    done = subprocess.run(
        [str(part) for part in tool],
        cwd=first.directory,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=_FORMAT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"formatting {first.data}: {done.stderr or done.stdout}")
    for number, node in list(nodes.items())[1:]:
        node.data.mkdir(parents=True, exist_ok=True)
        for file in first.data.iterdir():
            content = file.read_bytes()
            if file.name == "meta.properties":
                name = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=")
                content = re.sub(rb"(?m)^node\.id=.*$", b"node.id=%d" % number, content)
                content = re.sub(rb"(?m)^directory\.id=.*$", b"directory.id=" + name, content)
            (node.data / file.name).write_bytes(content)


def _write(file: Path, properties: Mapping[str, str]) -> None:
    file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), encoding="utf-8")
