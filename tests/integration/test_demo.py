"""The demo as a person runs it: numbers appear, and whatever it started has ended when it ends."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from atp_stream.local import LocalCluster
from tests.pipeline.waiting import until
from tests.pipeline.worker import die_with_parent

_SECONDS = 120
TOTALS = re.compile(r"in ([\d,]+) \(.* broken on purpose\)   out ([\d,]+) \(.*\)   latency ")
SUMMARY = re.compile(r"in: +([\d,]+) events.*\nout: +([\d,]+) events: .* availability", re.MULTILINE)


class Demo:
    """A demo process whose output goes to files, in a session of its own, as a shell would start it."""

    def __init__(self, place: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.out, self.err = place / "demo.out", place / "demo.err"
        self.directory = place / "data" / "atp-stream" / "demo"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "atp_stream", "demo", "--items", "20", *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment if environment is not None else variables(place),
                cwd=place,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def text(self) -> str:
        return self.out.read_text()

    def numbers(self) -> "Demo":
        """Wait for the first numbers."""

        def probe() -> bool:
            assert self.process.poll() is None, self.everything()
            return TOTALS.search(self.text()) is not None

        until("the demo shows numbers", probe, self.everything, _SECONDS)
        return self

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> psutil.Process:
        (found,) = [child for child in self.children() if "worker" in child.cmdline()]
        return found

    def ended(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(_SECONDS)

    def everything(self) -> str:
        return f"{self.text()[-3000:]}\n--- stderr\n{self.err.read_text()[-3000:]}"


def variables(place: Path, **more: str) -> dict[str, str]:
    """Return the environment of a person who has their data below `place`; downloaded software is shared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATP_") or name == "ATP_CACHE_DIR"}
    own = {"XDG_DATA_HOME": str(place / "data"), "ATP_LOCAL_DIR": str(place / "local")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2]), **own, **more}


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster as `atp-stream local up` would have left it running."""
    cluster = LocalCluster.start(tmp_path_factory.mktemp("running"), owned=False)
    yield cluster
    cluster.stop(wipe=True)


@pytest.fixture
def demo(running: LocalCluster, tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path, environment=variables(tmp_path, ATP_LOCAL_DIR=str(running.directory)))
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait(_SECONDS)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_on_a_bare_machine_it_starts_shows_numbers_and_ends_all_that_it_started(tmp_path: Path) -> None:
    for _ in ("first run", "second run"):
        demo = Demo(tmp_path, "--duration", "6", "--rate", "100").numbers()
        started = demo.children()
        assert len(started) == 3, [process.cmdline() for process in started]

        assert demo.ended() == 0, demo.everything()
        assert gone(started)
        assert LocalCluster.find(tmp_path / "local") is None
        text = demo.text()
        assert "tenant/item" in text
        assert "(ends with the demo)" in text
        summary = SUMMARY.search(text)
        assert summary is not None, demo.everything()
        # 20 opening events and 6 seconds of 100 a second; most of them change something.
        assert 400 < number(summary[1]) < 800
        assert number(summary[2]) > 400
        assert str(tmp_path / "local") in text
        for step in ("starting Kafka", "creating the topics", "starting the worker", "restoring the worker's state"):
            assert f"{step} done" in demo.err.read_text()
        assert "\x1b" not in text + demo.err.read_text()
        assert "Traceback" not in demo.everything()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_it_and_to_whatever_is_in_its_group_ends_it_in_order(
    demo: Demo, running: LocalCluster, name: str
) -> None:
    started = demo.numbers().children()
    os.killpg(demo.process.pid, signal.Signals[name])
    os.killpg(demo.process.pid, signal.Signals[name])

    assert demo.ended() == 0, demo.everything()
    assert gone(started)
    assert SUMMARY.search(demo.text())
    assert "Traceback" not in demo.everything()
    assert "was running" in demo.text()
    assert running.kafka.running
    assert running.registry.running


def test_a_signal_while_it_starts_ends_it_too(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    until("Kafka is being started", lambda: "starting Kafka" in demo.err.read_text(), demo.everything, _SECONDS)
    os.killpg(demo.process.pid, signal.SIGINT)

    assert demo.ended() == 130, demo.everything()
    assert LocalCluster.find(tmp_path / "local") is None
    assert "Traceback" not in demo.everything()


def test_nothing_survives_it_when_it_is_killed(demo: Demo) -> None:
    started = demo.numbers().children()
    assert [process.cmdline()[3] for process in started] == ["worker"]
    demo.process.kill()
    assert gone(started)


def test_a_worker_that_ends_is_reported_with_the_end_of_its_log(demo: Demo) -> None:
    demo.numbers().worker().kill()

    assert demo.ended() == 70, demo.everything()
    err = demo.err.read_text()
    assert "error: the worker has ended (signal 9)" in err
    assert "ready after" in err
    assert f"fix: see {demo.directory / 'worker.log'}" in err
    assert "Traceback" not in err


def test_a_worker_that_cannot_start_is_reported_with_its_reason(running: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "data" / "atp-stream" / "demo").mkdir(parents=True)
    (tmp_path / "data" / "atp-stream" / "demo" / "worker").write_text("in the way")
    demo = Demo(tmp_path, environment=variables(tmp_path, ATP_LOCAL_DIR=str(running.directory)))

    assert demo.ended() == 77, demo.everything()
    assert "the worker has ended (exit code 77)" in demo.err.read_text()
    assert "cannot be written" in demo.err.read_text()


def test_a_second_demo_is_refused(demo: Demo, running: LocalCluster, tmp_path: Path) -> None:
    demo.numbers()
    second = tmp_path / "second"
    second.mkdir()
    refused = Demo(second, environment=variables(tmp_path, ATP_LOCAL_DIR=str(running.directory)))

    assert refused.ended() == 75, refused.everything()
    assert "a demo is running already" in refused.err.read_text()
    assert f"process {demo.process.pid} " in refused.err.read_text()
    assert demo.process.poll() is None


def test_settings_of_the_command_line_hold_for_its_worker_and_a_configured_cluster_is_used(
    running: LocalCluster, tmp_path: Path, unique: str
) -> None:
    settings = {
        "kafka.bootstrap_servers": running.bootstrap_servers,
        "registry.url": running.registry_url,
        "worker.application_id": unique,
        "topics.changes": f"{unique}.changes",
        "topics.state_partitions": "3",
    }
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    demo = Demo(tmp_path, "--duration", "3", *options).numbers()
    started = demo.children()

    assert demo.ended() == 0, demo.everything()
    assert gone(started)
    assert "(configured)" in demo.text()
    assert "made-up events go to inventory.core.stock-availability.changed" in demo.err.read_text()
    assert "42 source" not in (demo.directory / "worker.log").read_text()
    assert "33 source partitions, 3 table partitions" in (demo.directory / "worker.log").read_text()
    assert not (tmp_path / "local").exists()


def test_on_a_terminal_it_draws_and_gives_the_terminal_back(running: LocalCluster, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 140))
    environment = variables(tmp_path, ATP_LOCAL_DIR=str(running.directory), TERM="xterm-256color")
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "atp_stream", "demo", "--items", "20"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    os.close(slave)
    seen = bytearray()

    def shows(text: bytes) -> bool:
        if select.select([master], [], [], 0.1)[0]:
            seen.extend(os.read(master, 65_536))
        return text in seen

    try:
        for what in (b"what went out last", b" committed "):
            until("events are drawn", lambda what=what: shows(what), lambda: seen.decode(errors="replace"), _SECONDS)  # type: ignore[misc]
        assert b"\x1b[?1049h" in seen
        os.killpg(process.pid, signal.SIGINT)
        until("the summary is there", lambda: shows(b"out:  "), lambda: seen.decode(errors="replace"))
        assert process.wait(_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert seen.index(b"\x1b[?1049l") < seen.index(b"out:  ")
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
