"""Origins: a first start, a loss and a topic created again are told from one another."""

import json
import logging
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Uuid

from atp_stream.streaming import origins as module
from atp_stream.streaming.errors import ClusterTooOld, ClusterUnreachable, StateMismatch
from atp_stream.streaming.origins import Origin, Origins, TopicFacts, describe_topics
from atp_stream.streaming.records import Partition

KNOWN = Origins({"stock": Origin("id-1", (5, 0))})


def test_given_a_topic_without_origin_then_all_its_partitions_are_missing() -> None:
    missing = KNOWN.missing({"stock": TopicFacts("id-1", 2), "created": TopicFacts("id-2", 2)})
    assert missing == [Partition("created", 0), Partition("created", 1)]


def test_given_more_partitions_than_before_then_the_new_ones_are_missing() -> None:
    assert KNOWN.missing({"stock": TopicFacts("id-1", 4)}) == [Partition("stock", 2), Partition("stock", 3)]


def test_given_a_source_that_is_no_longer_read_then_nothing_is_missing() -> None:
    assert KNOWN.missing({}) == []


def test_given_a_topic_of_another_id_then_it_is_refused_and_both_ids_are_named() -> None:
    with pytest.raises(StateMismatch) as caught:
        KNOWN.missing({"stock": TopicFacts("id-9", 2)})
    assert "id-9" in caught.value.cause
    assert "id-1" in caught.value.cause


def test_given_starts_of_missing_partitions_when_extended_then_known_starts_stay() -> None:
    sources = {"stock": TopicFacts("id-1", 3), "created": TopicFacts("id-2", 1)}
    starts = {Partition("stock", 2): 70, Partition("created", 0): 9}
    extended = KNOWN.extended(sources, starts)
    assert extended.missing(sources) == []
    assert [extended.start("stock", n) for n in range(3)] == [5, 0, 70]
    assert extended.start("created", 0) == 9
    assert KNOWN.missing({"created": sources["created"]}) == [Partition("created", 0)]  # the old ones are as they were


def test_given_an_origin_when_written_then_id_and_starts_are_readable() -> None:
    assert json.loads(KNOWN.record("stock")) == {"topic-id": "id-1", "starts": [5, 0]}


def test_given_a_cluster_that_does_not_answer_when_topics_are_described_then_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_CALL_SECONDS", 0.2)
    logging.disable()
    try:
        with pytest.raises(ClusterUnreachable, match="describing stock") as caught:
            describe_topics({"bootstrap.servers": "127.0.0.1:1"}, ["stock"])
    finally:
        logging.disable(logging.NOTSET)
    assert caught.value.fix


class Described:
    """An admin client of a cluster that gives topics this id."""

    def __init__(self, topic_id: Uuid | None) -> None:
        self._topic_id = topic_id

    def __call__(self, _config: object) -> "Described":
        return self

    def describe_topics(self, _topics: object, **_: object) -> dict[str, Any]:
        description: Future[Any] = Future()
        description.set_result(SimpleNamespace(topic_id=self._topic_id, partitions=[0, 1]))
        return {"stock": description}


@pytest.mark.parametrize("topic_id", [Uuid(0, 0), None])
def test_given_brokers_that_give_topics_no_ids_when_described_then_they_are_refused(
    monkeypatch: pytest.MonkeyPatch, topic_id: Uuid | None
) -> None:
    monkeypatch.setattr(module, "AdminClient", Described(topic_id))
    with pytest.raises(ClusterTooOld) as caught:
        describe_topics({}, ["stock"], deadline=60.0)
    assert "stock has none: the brokers are older than Kafka 2.8" in caught.value.cause


def test_given_a_topic_id_when_described_then_it_is_written_as_kafka_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AdminClient", Described(Uuid(0, -1)))
    assert describe_topics({}, ["stock"])["stock"] == TopicFacts("AAAAAAAAAAD__________w", 2)


def test_given_a_cluster_that_comes_back_in_time_when_topics_are_described_then_it_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[dict[str, TopicFacts] | None] = [None, None, {"stock": TopicFacts("id-1", 3)}]

    def described(*_: object) -> dict[str, TopicFacts]:
        answer = answers.pop(0)
        if answer is None:
            raise ClusterUnreachable("not yet")
        return answer

    monkeypatch.setattr(module, "_described", described)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)
    logging.disable()
    try:
        assert describe_topics({}, ["stock"], deadline=60.0)["stock"].partitions == 3
    finally:
        logging.disable(logging.NOTSET)


class Fenced:
    """A cluster whose group got its offsets from another worker between the look at the origins and that at these."""

    def stable_offsets(self, partitions: list[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 5)


class Unused:
    """A producer that may start and close, and must not write."""

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_given_another_worker_that_has_just_begun_then_its_origins_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [Origins({}), Origins({}), KNOWN, KNOWN]
    monkeypatch.setattr(module, "read_origins", lambda *_: seen.pop(0))
    sources = {"stock": TopicFacts("id-1", 2)}
    found = module.establish(Fenced(), Unused(), "origins", sources)  # type: ignore[arg-type]
    assert found.start("stock", 0) == 5


def test_given_offsets_that_no_origin_explains_even_when_read_again_then_the_start_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "read_origins", lambda *_: Origins({}))
    with pytest.raises(StateMismatch, match="where it began to read is not known"):
        module.establish(Fenced(), Unused(), "origins", {"stock": TopicFacts("id-1", 2)})  # type: ignore[arg-type]
