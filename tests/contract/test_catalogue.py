"""The catalogue of topics against contract and design."""

from dataclasses import dataclass

from atp_stream.contracts.catalogue import TopicSpec, catalogue


@dataclass(frozen=True)
class Topic:
    event: str
    encoding: str = "avro"
    keyed_by_item: bool = False


CORE = {
    "inventory.core.stock-availability.changed": Topic("StockAvailabilityChangedEvent"),
    "inventory.core.reservation.created": Topic("ReservationCreatedEvent"),
    "inventory.core.reservation.released": Topic("ReservationReleasedEvent"),
}


def _by_name(specs: list[TopicSpec]) -> dict[str, TopicSpec]:
    named = {spec.name: spec for spec in specs}
    assert len(named) == len(specs)
    return named


def test_partitions_are_those_of_the_contract_and_the_design() -> None:
    assert {
        name: spec.partitions for name, spec in _by_name(catalogue(CORE, changelogs=["app-state-changelog"])).items()
    } == {
        "inventory.core.stock-availability.changed": 12,
        "inventory.core.reservation.created": 12,
        "inventory.core.reservation.released": 6,
        "atp.changes": 12,
        "app-state-changelog": 12,
        "atp-stream-origins": 1,
        "inventory.atp.availability.calculated": 6,
        "inventory.atp.allocation.committed": 6,
        "inventory.atp.allocation.released": 3,
        "inventory.atp.reservation.denied": 6,
        "inventory.atp.allocation.backordered": 6,
        "atp.dead-letters": 1,
    }


def test_subjects_are_the_topic_names_with_value_and_only_events_have_one() -> None:
    specs = catalogue(CORE, changelogs=["app-state-changelog"])
    assert {spec.subject for spec in specs if spec.subject} == {
        f"{spec.name}-value" for spec in specs if spec.role in ("input", "output")
    }
    assert all((spec.schema_file is None) == (spec.event is None) for spec in specs)


def test_nothing_that_is_the_state_or_the_log_ever_expires() -> None:
    named = _by_name(catalogue(CORE, changelogs=["app-state-changelog"]))
    assert named["app-state-changelog"].config["cleanup.policy"] == "compact"
    assert named["atp.changes"].config["cleanup.policy"] == "delete"
    assert named["atp.changes"].config["retention.ms"] == "-1"
    assert named["atp.dead-letters"].config["cleanup.policy"] == "delete"
    assert int(named["atp.dead-letters"].config["retention.ms"]) >= 30 * 24 * 60 * 60 * 1000


def test_topics_that_take_over_an_input_or_hold_growing_state_have_room_for_more() -> None:
    named = _by_name(catalogue(CORE, changelogs=["app-state-changelog"]))
    for name in ("atp.changes", "atp.dead-letters", "app-state-changelog"):
        assert int(named[name].config["max.message.bytes"]) > 1_048_588


def test_settings_override_names_and_the_size_of_the_state() -> None:
    sources = {
        "keyed": Topic("ReservationReleasedEvent", keyed_by_item=True),
        "loose": CORE["inventory.core.reservation.released"],
    }
    named = _by_name(
        catalogue(sources, changes="my.changes", dead_letters="my.dead", state_partitions=24, changelogs=["log"])
    )
    assert named["my.changes"].partitions == named["log"].partitions == named["keyed"].partitions == 24
    assert named["loose"].partitions == 6
    assert named["my.dead"].role == named["my.changes"].role == "internal"
    assert "atp.changes" not in named


def test_a_topic_of_json_has_an_event_but_no_schema() -> None:
    spec = catalogue({"json": Topic("ReservationCreatedEvent", encoding="json")})[0]
    assert (spec.event, spec.schema_file, spec.subject) == ("ReservationCreatedEvent", None, None)
