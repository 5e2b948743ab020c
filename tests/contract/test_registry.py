"""What the registry's answers mean, and that no answer of any server is taken for one about a record."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from atp_stream.contracts.catalogue import TopicSpec, catalogue
from atp_stream.contracts.errors import (
    BadInput,
    ErrorClass,
    IncompatibleSchema,
    RegistryError,
    RegistryRefused,
    RegistryUnreachable,
)
from atp_stream.contracts.registry import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, SchemaRegistry
from atp_stream.contracts.registry_client import MAX_ANSWER_BYTES
from atp_stream.contracts.schemas import schema_of, schema_text
from tests.contract.samples import CREATED, old_schema

COMMITTED = next(spec for spec in catalogue({}) if spec.event == "AllocationCommittedEvent")
INPUT = TopicSpec("core.created", 12, "input", CREATED, "ReservationCreatedSchema.avsc")
NOT_FOUND = httpx.Response(404, json={"error_code": 40403, "message": "no such schema"})
FOUND = httpx.Response(200, json={"schema": schema_text(CREATED)})

Handler = Callable[[httpx.Request], httpx.Response]


class Transport(httpx.AsyncBaseTransport):
    """Answers requests by a function; the answers arrive as a stream, as those of a server do."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        answer = self.handler(request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_stream(answer))


def _stream(answer: httpx.Response) -> httpx.AsyncByteStream:
    if answer.is_stream_consumed:
        return httpx.ByteStream(answer.content)
    assert isinstance(answer.stream, httpx.AsyncByteStream)
    return answer.stream


class Sleeps:
    """Stands in for sleeping: keeps how long, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def _answers(*answers: httpx.Response | Exception) -> Handler:
    remaining = list(answers)

    def handler(_: httpx.Request) -> httpx.Response:
        answer = remaining.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler


def _registry(handler: Handler, sleep: Sleeps | None = None, **credentials: str) -> SchemaRegistry:
    return SchemaRegistry(
        "http://registry.test/api",
        transport=Transport(handler),
        sleep=sleep or Sleeps(),
        **credentials,  # type: ignore[arg-type]
    )


async def _bad(handler: Handler, schema_id: int = 7) -> ErrorClass:
    async with _registry(handler) as registry:
        with pytest.raises(BadInput) as caught:
            await registry.fetch(schema_id)
    return caught.value.error_class


async def test_a_schema_is_fetched_by_its_id() -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.headers.get("authorization")))
        return FOUND

    async with _registry(handler) as registry:
        assert await registry.fetch(7) == schema_text(CREATED)
    # then no credentials are made up where there are none
    assert asked == [("GET", "/api/schemas/ids/7", None)]


async def test_credentials_are_sent() -> None:
    sent = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        return FOUND

    async with _registry(handler, username="user", password="secret") as registry:
        await registry.fetch(7)
    assert sent == ["Basic dXNlcjpzZWNyZXQ="]


async def test_an_id_that_the_registry_does_not_know_is_bad_input() -> None:
    assert await _bad(_answers(NOT_FOUND)) == ErrorClass.UNKNOWN_SCHEMA_ID


@pytest.mark.parametrize("schema_id", [0, 2**31, 2**32 - 1])
async def test_an_id_that_no_registry_gives_is_not_even_asked_for(schema_id: int) -> None:
    assert await _bad(_answers(), schema_id) == ErrorClass.UNKNOWN_SCHEMA_ID


async def test_a_schema_that_is_not_avro_is_bad_input() -> None:
    answer = httpx.Response(200, json={"schema": "syntax = 'proto3'", "schemaType": "PROTOBUF"})
    assert await _bad(_answers(answer)) == ErrorClass.UNUSABLE_SCHEMA


async def test_a_huge_schema_is_bad_input_and_not_read_to_its_end() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b" " * 65536

    assert await _bad(_answers(httpx.Response(200, content=endless()))) == ErrorClass.UNUSABLE_SCHEMA
    assert read <= MAX_ANSWER_BYTES + 2 * 65536


AWAY = [
    httpx.ConnectError("connection refused"),
    httpx.ReadTimeout("timed out"),
    httpx.RemoteProtocolError("closed"),
    httpx.Response(500, json={"error_code": 50001}),
    httpx.Response(503, text="no backend"),
    httpx.Response(429, json={}),
    httpx.Response(302, headers={"location": "http://elsewhere.test/"}),
    httpx.Response(200, html="<html>a web page</html>"),
    httpx.Response(200, json=["something", "else"]),
    httpx.Response(200, content=b"[" * 100_000),
    httpx.Response(404, html="<html>not here</html>"),
    httpx.Response(404, json={"detail": "not found"}),
    # As Apicurio answers for a path that is not of its API.
    httpx.Response(404, json={"error_code": 0, "message": "Could not find resource for full path"}),
    httpx.Response(404, json={"error_code": 404, "message": "Could not find resource for full path"}),
]


@pytest.mark.parametrize("answer", AWAY, ids=repr)
async def test_whatever_else_is_answered_is_waited_out_and_never_bad_input(answer: httpx.Response | Exception) -> None:
    # given a registry that is away for some requests
    sleeps = Sleeps()
    async with _registry(_answers(answer, answer, answer, FOUND), sleeps) as registry:
        # when a schema is fetched, then the answer comes once the registry is back, with a longer pause each time
        assert await registry.fetch(7) == schema_text(CREATED)
        assert sleeps.seconds == [FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 4 * FIRST_RETRY_SECONDS]
        assert registry.outage is None


async def test_an_outage_is_told_while_it_lasts_and_pauses_stay_short() -> None:
    told = []

    async def sleep(seconds: float) -> None:
        told.append((registry.outage, seconds))

    refused = httpx.ConnectError("connection refused")
    registry = SchemaRegistry(
        "http://registry.test", sleep=sleep, transport=Transport(_answers(*[refused] * 9, NOT_FOUND))
    )
    async with registry:
        with pytest.raises(BadInput):
            await registry.fetch(7)
    assert len(told) == 9
    assert all(outage is not None and "connection refused" in outage for outage, _ in told)
    assert told[-1][1] == LONGEST_RETRY_SECONDS
    assert registry.outage is None


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_access_ends_it_instead_of_being_waited_out(status: int) -> None:
    async with _registry(_answers(httpx.Response(status, text="no"))) as registry:
        with pytest.raises(RegistryRefused, match=str(status)):
            await registry.fetch(7)


async def test_an_answer_that_trickles_in_is_given_up() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    sleeps = Sleeps()
    async with SchemaRegistry(
        "http://registry.test",
        timeout_seconds=0.05,
        sleep=sleeps,
        transport=Transport(_answers(httpx.Response(200, content=trickle()), FOUND)),
    ) as registry:
        assert await registry.fetch(7) == schema_text(CREATED)
    assert len(sleeps.seconds) == 1


class Subjects:
    """A registry that keeps subjects as Apicurio does: it finds a schema again only to the letter."""

    def __init__(self, **registered: object) -> None:
        self.texts: dict[str, list[str]] = {
            subject.replace("__", "-").replace("_", "."): [json.dumps(schema)] for subject, schema in registered.items()
        }
        self.requests: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        _, _, *path = request.url.path.split("/")
        self.requests.append((request.method, "/".join(path)))
        body = json.loads(request.content) if request.content else {}
        versions = self.texts.get(path[1], [])
        match request.method, path[0], len(path):
            case "PUT", "config", 2:
                return httpx.Response(200, json=body)
            case "GET", "subjects", 4 if versions:
                return httpx.Response(200, json={"id": len(versions), "version": 1, "schema": versions[-1]})
            case "POST", "subjects", 2 if body["schema"] in versions:
                number = versions.index(body["schema"]) + 1
                return httpx.Response(200, json={"id": number, "version": number, "schema": body["schema"]})
            case "POST", "subjects", 3:
                self.texts.setdefault(path[1], []).append(body["schema"])
                return httpx.Response(200, json={"id": len(self.texts[path[1]])})
        return httpx.Response(404, json={"error_code": 40401, "message": "not found"})


async def test_a_new_subject_is_registered_with_the_documented_schema_and_kept_compatible() -> None:
    subjects = Subjects()
    async with _registry(subjects) as registry:
        first = await registry.register([COMMITTED])
        second = await registry.register([COMMITTED])
        ids = await registry.ids([COMMITTED])
    subject = "inventory.atp.allocation.committed-value"
    assert [json.loads(text) for text in subjects.texts[subject]] == [schema_of("AllocationCommittedEvent")]
    assert [(done.subject, done.schema_id, done.new) for done in first + second] == [
        (subject, 1, True),
        (subject, 1, False),
    ]
    assert ids == {subject: 1}
    assert subjects.requests.count(("PUT", f"config/{subject}")) == 1


async def test_what_core_has_registered_is_left_alone() -> None:
    # given Core's own schema, without the fields that have defaults
    subjects = Subjects(core_created__value=old_schema(CREATED))
    async with _registry(subjects) as registry:
        done = await registry.register([INPUT])
        assert await registry.check([INPUT]) == []
    assert [(one.schema_id, one.new) for one in done] == [(1, False)]
    assert all(method == "GET" for method, _ in subjects.requests)


async def test_our_schema_stands_in_where_core_has_none() -> None:
    subjects = Subjects()
    async with _registry(subjects) as registry:
        assert [one.new for one in await registry.register([INPUT])] == [True]
    # then the rules of the subject stay Core's
    assert all(method != "PUT" for method, _ in subjects.requests)


async def test_a_topic_without_a_schema_has_nothing_to_register() -> None:
    async with _registry(_answers()) as registry:
        assert await registry.register([TopicSpec("atp.changes", 12, "internal")]) == []


async def test_the_same_schema_laid_out_differently_is_found() -> None:
    subjects = Subjects()
    subjects.texts["inventory.atp.allocation.committed-value"] = [schema_text("AllocationCommittedEvent")]
    async with _registry(subjects) as registry:
        assert [one.new for one in await registry.register([COMMITTED])] == [False]
        assert await registry.check([COMMITTED]) == []


async def test_an_older_version_of_ours_still_counts() -> None:
    newer = schema_of("AllocationCommittedEvent")
    newer["fields"].append({"name": "more", "type": ["null", "string"], "default": None})
    subjects = Subjects()
    subjects.texts["inventory.atp.allocation.committed-value"] = [
        json.dumps(schema_of("AllocationCommittedEvent")),
        json.dumps(newer),
    ]
    async with _registry(subjects) as registry:
        assert list((await registry.ids([COMMITTED])).values()) == [1]
        assert await registry.check([COMMITTED]) == []


async def test_a_check_says_what_is_missing_and_what_differs() -> None:
    other = schema_of("AllocationCommittedEvent")
    other["namespace"] = "elsewhere"
    other["fields"][1] = {"name": "timestamp", "type": "string"}
    other["fields"][2:4] = reversed(other["fields"][2:4])
    other["fields"][-1]["name"] = "amount"
    subjects = Subjects(inventory_atp_allocation_committed__value=other)
    denied = next(spec for spec in catalogue({}) if spec.event == "ReservationDeniedEvent")
    async with _registry(subjects) as registry:
        different, missing = await registry.check([COMMITTED, denied])
        assert await registry.ids([COMMITTED, denied]) == {}
    assert (missing.subject, missing.kind) == ("inventory.atp.reservation.denied-value", "missing")
    assert different.kind == "different"
    assert different.details == (
        'namespace: ours is "com.erp.inventory.atp.events", registered is "elsewhere"',
        'field timestamp: ours is {"name": "timestamp", "type": "long", "logicalType": "timestamp-millis"}, '
        'registered is {"name": "timestamp", "type": "string"}',
        "field quantity: not in the registered schema",
        "field amount: only in the registered schema",
        "order of fields: ours is eventId, timestamp, tenantId, allocationId, itemId, channel",
    )


async def test_a_check_says_why_an_input_could_not_be_read() -> None:
    schema = old_schema(CREATED)
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "tenantId"]
    async with _registry(Subjects(core_created__value=schema)) as registry:
        (difference,) = await registry.check([INPUT])
    assert difference.kind == "unreadable"
    assert difference.details == ("the schema of ReservationCreatedEvent has no field tenantId",)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(409, json={"error_code": 409, "message": "field x was removed"}), IncompatibleSchema),
        (httpx.Response(422, json={"error_code": 42201, "message": "invalid"}), IncompatibleSchema),
        (httpx.Response(400, json={"error_code": 400, "message": "bad request"}), RegistryUnreachable),
        (httpx.Response(500, text="broken"), RegistryUnreachable),
        (httpx.ConnectError("connection refused"), RegistryUnreachable),
        (httpx.Response(404, html="not here"), RegistryUnreachable),
        (httpx.Response(403, text="read only"), RegistryRefused),
    ],
)
async def test_a_registration_fails_for_one_of_three_reasons(
    answer: httpx.Response | Exception, error: type[RegistryError]
) -> None:
    subjects = Subjects()

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/versions"):
            return _answers(answer)(request)
        return subjects(request)

    async with _registry(handler) as registry:
        with pytest.raises(error) as caught:
            await registry.register([COMMITTED])
    if error is IncompatibleSchema:
        assert str(caught.value).startswith("inventory.atp.allocation.committed-value: ")


async def test_looking_at_another_server_is_not_taken_for_missing_subjects() -> None:
    wrong_path = httpx.Response(404, json={"error_code": 0, "message": "Could not find resource for full path"})
    for method in ("register", "ids", "check"):
        async with _registry(_answers(wrong_path)) as registry:
            with pytest.raises(RegistryUnreachable, match="path of its API"):
                await getattr(registry, method)([COMMITTED])
