"""The contracts against a real schema registry."""

import asyncio
import json
from dataclasses import replace

import pytest

from atp_stream.contracts.avro import open_writer
from atp_stream.contracts.catalogue import TopicSpec, catalogue
from atp_stream.contracts.errors import BadInput, ErrorClass, IncompatibleSchema, RegistryUnreachable
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.contracts.schemas import schema_of, schema_text
from atp_stream.local import LocalCluster
from tests.cluster import register
from tests.contract.samples import CREATED, SAMPLES, avro, old_schema


def _outputs() -> list[TopicSpec]:
    return [spec for spec in catalogue({}) if spec.role == "output"]


def _core(unique: str) -> TopicSpec:
    return TopicSpec(f"{unique}.created", 12, "input", CREATED, "ReservationCreatedSchema.avsc")


async def test_registering_again_gives_the_same_ids_and_the_documented_schemas(cluster: LocalCluster) -> None:
    async with SchemaRegistry(cluster.registry_url) as registry:
        first = {done.subject: done.schema_id for done in await registry.register(_outputs())}
    async with SchemaRegistry(cluster.registry_url) as registry:
        second = await registry.register(_outputs())
        assert {done.subject: done.schema_id for done in second} == first
        assert not any(done.new for done in second)
        assert await registry.ids(_outputs()) == first
        assert await registry.check(_outputs()) == []
        # then what the registry gives out is the document's schema, with the logicalType where Avro ignores it
        for spec in _outputs():
            assert spec.subject is not None
            assert spec.event is not None
            assert json.loads(await registry.fetch(first[spec.subject])) == schema_of(spec.event)
    OutputEncoder(first)


async def test_a_check_finds_what_is_missing_and_what_differs(cluster: LocalCluster, unique: str) -> None:
    missing = replace(_outputs()[0], name=f"{unique}-missing")
    different = replace(_outputs()[0], name=f"{unique}-different")
    schema = schema_of("AvailabilityCalculatedEvent")
    register(cluster.registry_url, f"{different.name}-value", {**schema, "fields": schema["fields"][:-1]})
    async with SchemaRegistry(cluster.registry_url) as registry:
        found = await registry.check([missing, different])
    assert [(one.kind, one.details) for one in found] == [
        ("missing", ("no schema is registered",)),
        ("different", ("field reserved: not in the registered schema",)),
    ]


async def test_the_document_registered_by_hand_is_not_registered_twice(cluster: LocalCluster, unique: str) -> None:
    spec = replace(_outputs()[1], name=unique)
    schema_id = register(cluster.registry_url, f"{unique}-value", json.loads(schema_text("AllocationCommittedEvent")))
    async with SchemaRegistry(cluster.registry_url) as registry:
        (done,) = await registry.register([spec])
    assert (done.schema_id, done.new) == (schema_id, False)


async def test_an_output_subject_refuses_what_its_consumers_could_not_read(cluster: LocalCluster, unique: str) -> None:
    # given a subject that we have registered
    first = replace(_outputs()[0], name=unique)
    async with SchemaRegistry(cluster.registry_url) as registry:
        await registry.register([first])
        # when another event is to be registered for it, then the registry refuses
        with pytest.raises(IncompatibleSchema, match=f"{unique}-value"):
            await registry.register([replace(_outputs()[1], name=unique)])


async def test_cores_own_schema_is_left_alone_and_its_records_are_read(cluster: LocalCluster, unique: str) -> None:
    # given Core's schema, which lacks the fields with defaults
    spec = _core(unique)
    schema = old_schema(CREATED)
    schema_id = register(cluster.registry_url, f"{spec.name}-value", schema)
    async with SchemaRegistry(cluster.registry_url) as registry:
        (done,) = await registry.register([spec])
        assert (done.schema_id, done.new) == (schema_id, False)
        assert await registry.check([spec]) == []
        # when one of its records comes
        decoder = InputDecoder(registry.fetch)
        value = avro(schema, SAMPLES[CREATED], schema_id)
        needed = decoder.needs(value)
        assert needed == schema_id
        await decoder.resolve([needed])
    # then it is an event
    assert decoder.decode(CREATED, "avro", value).event_id == "e-1"


@pytest.mark.parametrize("schema_id", [0, 2**31 - 1, 2**31, 2**32 - 1])
async def test_an_unknown_id_is_bad_input(cluster: LocalCluster, schema_id: int) -> None:
    async with SchemaRegistry(cluster.registry_url) as registry:
        with pytest.raises(BadInput) as caught:
            await registry.fetch(schema_id)
    assert caught.value.error_class == ErrorClass.UNKNOWN_SCHEMA_ID


async def test_a_wrong_path_is_not_taken_for_unknown_ids(cluster: LocalCluster) -> None:
    class GivenUp(Exception):
        pass

    async def give_up(_: float) -> None:
        raise GivenUp

    for wrong in ("/wrong", "/apis/ccompat/v7/wrong", "/apis/registry/v2"):
        async with SchemaRegistry(cluster.registry_url.replace("/apis/ccompat/v7", wrong), sleep=give_up) as registry:
            with pytest.raises(GivenUp):
                await registry.fetch(1)
            with pytest.raises(RegistryUnreachable):
                await registry.ids(_outputs())


async def test_an_outage_is_waited_out(cluster: LocalCluster, unique: str) -> None:
    # given a registry that is away
    schema_id = register(cluster.registry_url, f"{unique}-value", schema_of(CREATED))
    outages = []

    async def come_back(_: float) -> None:
        outages.append(registry.outage)
        await asyncio.to_thread(cluster.registry.start)

    registry = SchemaRegistry(cluster.registry_url, sleep=come_back)
    cluster.registry.stop()
    async with registry:
        # when a schema is needed, then it is waited for, and what is away is told
        text = await registry.fetch(schema_id)
    assert open_writer(text).event_type == CREATED
    assert len(outages) == 1
    assert outages[0] is not None
    assert registry.outage is None
