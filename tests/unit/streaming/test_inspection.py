"""What a worker may tell of its partitions, and when it may tell of none."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from atp_stream.streaming import inspection as module
from atp_stream.streaming.committed import Committed
from atp_stream.streaming.engine import Engine
from atp_stream.streaming.gate import Gate
from atp_stream.streaming.inspection import Inspection, Moving, NotHere, Place
from atp_stream.streaming.membership import Membership
from atp_stream.streaming.partitioner import partition_of
from atp_stream.streaming.records import Partition

from .samples import Consumed

KEY = b"t/item"
HERE, ELSEWHERE = partition_of(KEY, 4), (partition_of(KEY, 4) + 1) % 4


class Told:
    """An inspection of a worker that has one partition: its gate is open, and its lease holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lease = SimpleNamespace(holds=True)
        monkeypatch.setattr(module, "consumer_of", lambda _: SimpleNamespace(thread=SimpleNamespace(lease=self.lease)))
        self.tables: dict[str, Any] = {"http://own": {"changelog": [HERE]}, "http://other": {"other": [0, 1, 2, 3]}}
        app: Any = SimpleNamespace(
            conf=SimpleNamespace(canonical_url="http://own"),
            assignor=SimpleNamespace(tables_metadata=lambda: self.tables),
        )
        self.gate = Gate()
        self.state: Any = object()
        self.engine: Any = SimpleNamespace(
            gate=self.gate,
            observers=[],
            changelog="changelog",
            store=SimpleNamespace(partitions={HERE: self.state}),
            sources={"changes": SimpleNamespace(stateful=True), "stock": SimpleNamespace(stateful=False)},
        )
        engine: Engine = cast(Any, self.engine)
        self.inspection = Inspection(app, engine, 4)
        self.gate.open(Membership(4, "me"))

    def commit(self, topic: str, *timestamps: int) -> None:
        records = [Consumed(offset=at, timestamp=each) for at, each in enumerate(timestamps)]
        (observe,) = self.engine.observers
        observe(Committed({Partition(topic, HERE): records}, (), (), 0, 0, 0))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


def test_given_a_worker_that_has_a_partition_then_it_tells_of_that_and_of_no_other(told: Told) -> None:
    assert told.inspection.partition(HERE) is told.state
    assert told.inspection.held() == {HERE: told.state}
    with pytest.raises(NotHere):
        told.inspection.partition(ELSEWHERE)


def test_given_a_shut_gate_then_nothing_is_told(told: Told) -> None:
    told.gate.close()
    for ask in (told.inspection.held, lambda: told.inspection.partition(HERE)):
        with pytest.raises(Moving, match="move"):
            ask()


def test_given_a_lease_that_is_over_then_nothing_is_told_although_the_gate_is_open(told: Told) -> None:
    told.lease.holds = False
    for number in (HERE, ELSEWHERE):
        with pytest.raises(Moving, match="coordinator"):
            told.inspection.partition(number)


def test_given_a_worker_that_has_only_started_then_nothing_is_told(told: Told) -> None:
    told.engine.store = None
    with pytest.raises(Moving):
        told.inspection.held()


def test_a_key_lies_with_the_worker_that_the_group_gave_its_partition_of_the_changelog(told: Told) -> None:
    assert told.inspection.place(KEY) == Place(HERE, "http://own")
    assert told.inspection.workers() == {"http://own": (HERE,), "http://other": ()}
    told.tables = {}
    assert told.inspection.place(KEY) == Place(HERE, None)


def test_the_last_input_of_a_partition_is_the_last_that_was_decided(told: Told) -> None:
    assert told.inspection.as_of(HERE) is None
    told.commit("stock", 500)  # has only been ingested
    assert told.inspection.as_of(HERE) is None
    told.commit("changes", 100, 300)
    assert told.inspection.as_of(HERE) == 300
    assert told.inspection.as_of(ELSEWHERE) is None


def test_given_a_record_without_a_time_then_it_is_not_told_as_one_of_1970(told: Told) -> None:
    told.commit("changes", -1)
    assert told.inspection.as_of(HERE) is None
    told.commit("changes", 300, -1)
    assert told.inspection.as_of(HERE) is None


def test_given_a_partition_that_was_with_others_meanwhile_then_the_time_of_its_last_input_is_not_known(
    told: Told,
) -> None:
    told.commit("changes", 300)
    told.gate.close()
    told.gate.open(Membership(6, "me"))
    assert told.inspection.as_of(HERE) is None
    told.commit("changes", 400)
    assert told.inspection.as_of(HERE) == 400
