"""The small parts of the local cluster: port choice, the lock with its holder, what is shown of the progress."""

import io
import os
import socket
from pathlib import Path

import pytest
from rich.console import Console

from atp_stream.errors import TemporaryError
from atp_stream.local import Progress, shown
from atp_stream.local.ports import HOST, free_port, is_free
from atp_stream.local.state import Running, State, changing, forget, load, save

RUNNING = State(kafka=Running(pid=1, created=2.5, port=3))


@pytest.mark.parametrize("address", [HOST, "0.0.0.0"])
def test_a_port_that_somebody_listens_on_is_not_chosen(address: str) -> None:
    with socket.socket() as server:
        server.bind((address, 0))
        server.listen()
        taken = server.getsockname()[1]

        assert not is_free(taken)
        assert free_port(taken) != taken


def test_a_free_port_is_taken_as_preferred() -> None:
    preferred = free_port()

    assert free_port(preferred) == preferred


def test_state_is_read_back_as_saved_until_it_is_forgotten(tmp_path: Path) -> None:
    save(tmp_path, RUNNING)
    assert load(tmp_path) == RUNNING

    forget(tmp_path)
    assert load(tmp_path) == State()


@pytest.mark.parametrize("content", ["", "{", '{"kafka": 1}', "[]"])
def test_state_that_cannot_be_read_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "cluster.json").write_text(content)

    assert load(tmp_path) == State()


def test_the_holder_of_the_lock_is_named(tmp_path: Path) -> None:
    told: list[str] = []
    with (
        changing(tmp_path),
        pytest.raises(TemporaryError) as caught,
        changing(tmp_path, lambda progress: told.append(str(progress)), seconds=0.01),
    ):
        pytest.fail("two at once")

    assert f"process {os.getpid()} holds" in caught.value.cause
    assert told == [f"waiting for process {os.getpid()}, which is starting or stopping the local cluster"]


STEPS = (
    Progress("Kafka 4.3.1", 1, 3, "jars"),
    Progress("Kafka 4.3.1", 2, 3, "jars"),
    Progress("Kafka 4.3.1", 3, 3, "jars"),
    Progress("starting Kafka", 0, 1, note="port 9092 is taken, using 24711"),
    Progress("starting Kafka", 1, 1),
)


@pytest.mark.parametrize(
    ("terminal", "environment"), [(False, {}), (True, {"TERM": "dumb"}), (True, {"NO_COLOR": "1"})]
)
def test_where_escape_codes_are_not_wanted_progress_is_plain_lines(terminal: bool, environment: dict[str, str]) -> None:
    output = io.StringIO()

    with shown(Console(file=output, force_terminal=terminal, _environ=environment)) as report:
        for step in STEPS:
            report(step)

    assert output.getvalue().splitlines() == [
        "Kafka 4.3.1 (1 of 3 jars)",
        "Kafka 4.3.1 (3 of 3 jars) done",
        "starting Kafka: port 9092 is taken, using 24711",
        "starting Kafka done",
    ]


def test_on_a_terminal_each_step_is_one_bar() -> None:
    output = io.StringIO()

    with shown(Console(file=output, force_terminal=True, width=100, _environ={"TERM": "xterm"})) as report:
        for step in STEPS:
            report(step)

    *above, fetched, started, _ = output.getvalue().splitlines()
    assert "Kafka 4.3.1 (3 of 3 jars)" in fetched
    assert "starting Kafka" in started
    assert any("port 9092 is taken, using 24711" in line for line in above)
