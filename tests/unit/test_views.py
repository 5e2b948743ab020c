"""What the worker's own views tell, at any time of its life."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from atp_stream.streaming.engine import Counters
from atp_stream.web.views import _describe


def worker(thread: Any) -> Any:
    return SimpleNamespace(
        engine=SimpleNamespace(counters=Counters()),
        check=SimpleNamespace(thread=thread),
        options=SimpleNamespace(data_dir="there"),
    )


def test_given_a_worker_whose_consumer_does_not_run_yet_when_asked_who_it_is_then_it_says_so_without_partitions() -> (
    None
):
    told = _describe(worker(thread=None))
    assert (told["dataDir"], told["partitions"], told["records"]) == ("there", {}, 0)


def test_given_partitions_when_asked_who_it_is_then_they_are_listed_by_topic() -> None:
    thread = SimpleNamespace(assignment=lambda: {TP("b", 1), TP("a", 2), TP("b", 0)})
    assert _describe(worker(thread))["partitions"] == {"a": [2], "b": [0, 1]}
