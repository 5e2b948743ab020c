"""Topics against the catalogue: what is missing, what differs, what may be put right and what may not."""

import pytest
from confluent_kafka.admin import AdminClient

from atp_stream.admin.topics import Plan, TopicState, any_count, changelog_name, compare, specs
from atp_stream.admin.topics_apply import apply
from atp_stream.contracts.catalogue import TopicSpec
from atp_stream.errors import DataError
from atp_stream.settings import Settings, SourceTopic, TopicSettings

LOG = TopicSpec("log", 12, "internal", config={"cleanup.policy": "delete", "retention.ms": "-1"})
SOURCE = TopicSpec("source", 12, "input")


def state(partitions: int = 12, **config: str) -> TopicState:
    return TopicState(partitions, 1, {key.replace("_", "."): value for key, value in config.items()}, frozenset())


def test_what_is_as_the_catalogue_says_needs_nothing() -> None:
    plan = compare([LOG], {"log": state(cleanup_policy="delete", retention_ms="-1", segment_ms="1")})
    assert plan == Plan((), (), (), ("log",))
    assert plan.differences == ()


def test_a_missing_topic_is_created() -> None:
    plan = compare([LOG], {})
    assert plan.create == (LOG,)
    assert [(one.topic, one.what) for one in plan.differences] == [("log", "missing")]


def test_another_setting_is_changed() -> None:
    plan = compare([LOG], {"log": state(cleanup_policy="compact", retention_ms="-1")})
    assert [(one.what, one.expected, one.found) for one in plan.alter] == [("cleanup.policy", "delete", "compact")]
    assert plan.unchanged == ()


def test_another_partition_count_is_refused_and_nothing_is_done() -> None:
    plan = compare([LOG, SOURCE], {"log": state(6, cleanup_policy="delete", retention_ms="-1")})
    assert [(one.what, one.expected, one.found) for one in plan.refused] == [("partitions", "12", "6")]
    admin: AdminClient = object()  # type: ignore[assignment]  # not used: the refusal comes first
    with pytest.raises(DataError) as caught:
        apply(admin, plan, 1)
    assert caught.value.exit_code == 65
    assert "never changed" in (caught.value.fix or "")


def test_an_input_that_is_keyed_anew_may_have_any_partition_count() -> None:
    assert compare([SOURCE], {"source": state(24)}, any_count=("source",)).unchanged == ("source",)


def test_an_input_that_claims_to_be_keyed_by_item_may_not() -> None:
    sources = {
        "keyed": SourceTopic(event="ReservationCreatedEvent", keyed_by_item=True),
        "other": SourceTopic(event="ReservationReleasedEvent"),
    }
    assert any_count(Settings(topics=TopicSettings(sources=sources))) == {"other"}


def test_the_catalogue_follows_the_settings() -> None:
    settings = Settings(topics=TopicSettings(changes="my.changes", dead_letters="my.dead", state_partitions=4))
    by_name = {spec.name: spec for spec in specs(settings)}
    assert by_name["my.changes"].partitions == 4
    assert by_name[changelog_name(settings)].role == "changelog"
    assert by_name[changelog_name(settings)].partitions == 4
    assert {"my.dead", *settings.topics.sources} <= by_name.keys()
