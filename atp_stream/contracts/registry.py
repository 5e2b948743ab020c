"""The schema registry: registering what we publish, comparing, and fetching writers' schemas (design sections 2 and 6).

Subjects of output topics are ours: they are registered, and kept compatible both ways with every earlier version, as
consumers and stored records outlive a release. Subjects of input topics are Inventory Core's: our schema stands in
where there is none yet, and is never added to what Core has registered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import httpx
import structlog
from schema_registry.client.errors import ClientError
from schema_registry.client.schema import AvroSchema

from atp_stream.contracts.avro import Json, open_writer
from atp_stream.contracts.catalogue import TopicSpec
from atp_stream.contracts.errors import (
    BadInput,
    ErrorClass,
    IncompatibleSchema,
    RegistryError,
    RegistryUnreachable,
    printable,
    quoted,
)
from atp_stream.contracts.registry_client import AnswerTooLarge, RegistryClient
from atp_stream.contracts.schema_diff import differences
from atp_stream.contracts.schemas import schema_of

COMPATIBILITY: Final = "FULL_TRANSITIVE"
"""Of the output subjects."""
MAX_SCHEMA_ID: Final = 2**31 - 1
"""Ids are Java's ints from 1 on. Any other is answered with an error that is not about the id, and never with a schema;
the library even leaves a 0 out of the path. Asked for, one such record would be waited for without end."""
FIRST_RETRY_SECONDS: Final = 0.2
LONGEST_RETRY_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Registered:
    """A subject and the id of its schema; ``new``: this call has registered it."""

    subject: str
    schema_id: int
    new: bool


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """A subject that is not as the catalogue says, with one line per difference of its latest schema.

    ``missing``: no schema at all. ``different``: an output whose schema is not registered. ``unreadable``: an input
    whose latest schema we cannot read.
    """

    subject: str
    kind: Literal["missing", "different", "unreadable"]
    details: tuple[str, ...]


class SchemaRegistry:
    """A schema registry with the Confluent API. Use in one event loop, as an ``async with`` or with ``aclose``."""

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        ca_location: str | None = None,
        timeout_seconds: float = 10.0,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``url``: base of the API; ``ca_location``: a file of certificates to trust instead of the usual ones.

        ``timeout_seconds`` bounds one request as a whole. ``sleep`` and ``transport`` are for tests.
        """
        self.outage: str | None = None
        """Why the registry cannot be asked at the moment, for the health view; None: it could when last asked."""
        self.on_answer: Callable[[], None] = lambda: None
        """Called whenever it has answered a request of ``fetch``, for the watchdog: a slow one does not hang."""
        self._sleep: Final = sleep
        self._client: Final = RegistryClient(
            url,
            username=username,
            password=password,
            ca_location=ca_location,
            timeout_seconds=timeout_seconds,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def register(self, specs: Iterable[TopicSpec]) -> list[Registered]:
        """Register the schemas of these topics. Doing it again changes nothing and gives the same ids.

        Raises ``RegistryUnreachable``, ``RegistryRefused``, ``IncompatibleSchema``.
        """
        return [await self._register(spec, spec.subject) for spec in specs if spec.subject is not None]

    async def ids(self, specs: Iterable[TopicSpec]) -> dict[str, int]:
        """Return subject to schema id of those of these topics' schemas that are registered. Changes nothing.

        Raises ``RegistryUnreachable``, ``RegistryRefused``.
        """
        found = {}
        for spec in specs:
            if spec.subject is not None:
                schema_id = await self._id_of(spec, spec.subject)
                if schema_id is not None:
                    found[spec.subject] = schema_id
        return found

    async def check(self, specs: Iterable[TopicSpec]) -> list[SchemaDifference]:
        """Return what is not as the catalogue says; empty: all is well. Changes nothing.

        Raises ``RegistryUnreachable``, ``RegistryRefused``.
        """
        found = []
        for spec in specs:
            difference = None if spec.subject is None else await self._check(spec, spec.subject)
            if difference is not None:
                found.append(difference)
        return found

    async def fetch(self, schema_id: int) -> str:
        """Return the text of the Avro schema with this id; wait, for ever if need be, while the registry is away.

        Raises ``BadInput`` (UNKNOWN_SCHEMA_ID, UNUSABLE_SCHEMA), and ``RegistryRefused``: nothing will help but a
        change of credentials or permissions.
        """
        if not 1 <= schema_id <= MAX_SCHEMA_ID:
            raise BadInput(ErrorClass.UNKNOWN_SCHEMA_ID, "not an id that a registry gives")
        delay = FIRST_RETRY_SECONDS
        while True:
            try:
                text = await self._fetch_once(schema_id)
            except RegistryUnreachable as error:
                self.outage = str(error)
                _log.warning("registry_unreachable", schema_id=schema_id, error=str(error), retry_in_seconds=delay)
            except BadInput:
                self._available()
                raise
            else:
                self._available()
                return text
            await self._sleep(delay)
            delay = min(2 * delay, LONGEST_RETRY_SECONDS)

    def _available(self) -> None:
        self.on_answer()
        if self.outage is not None:
            self.outage = None
            _log.info("registry_reachable_again")

    async def _fetch_once(self, schema_id: int) -> str:
        try:
            status, answer = await self._get("get_by_id", schema_id=schema_id)
        except AnswerTooLarge as error:
            raise BadInput(ErrorClass.UNUSABLE_SCHEMA, str(error)) from None
        if status == 200 and isinstance(answer.get("schema"), str):
            kind = answer.get("schemaType") or "AVRO"
            if kind != "AVRO":
                raise BadInput(ErrorClass.UNUSABLE_SCHEMA, f"the schema is {quoted(kind)}, not AVRO")
            text: str = answer["schema"]
            return text
        if status == 404:
            raise BadInput(ErrorClass.UNKNOWN_SCHEMA_ID, "the registry does not know this id")
        raise RegistryUnreachable(f"not the answer of a schema registry to a request for a schema: {status}")

    async def _register(self, spec: TopicSpec, subject: str) -> Registered:
        known = await self._id_of(spec, subject)
        if known is not None:
            return Registered(subject, known, new=False)
        with _understood(subject):
            schema_id = int(await self._client.register(subject, _schema(spec)))
            if spec.role == "output":
                await self._client.update_compatibility(COMPATIBILITY, subject)
        return Registered(subject, schema_id, new=True)

    async def _id_of(self, spec: TopicSpec, subject: str) -> int | None:
        latest = await self._latest(subject)
        if latest is None:
            return None
        # A registry may compare texts to the letter: the same schema counts, however it is laid out.
        if spec.role == "input" or not differences(_schema(spec).raw_schema, latest["schema"]):
            return int(latest["id"])
        with _understood(subject):
            known = await self._client.check_version(subject, _schema(spec))
            return None if known is None else int(known.schema_id)

    async def _check(self, spec: TopicSpec, subject: str) -> SchemaDifference | None:
        latest = await self._latest(subject)
        if latest is None:
            return SchemaDifference(subject, "missing", ("no schema is registered",))
        if spec.role == "input":
            try:
                open_writer(latest["schema"])
            except BadInput as bad:
                return SchemaDifference(subject, "unreadable", (bad.message,))
            return None
        if await self._id_of(spec, subject) is not None:
            return None
        return SchemaDifference(subject, "different", differences(_schema(spec).raw_schema, latest["schema"]))

    async def _latest(self, subject: str) -> dict[str, Any] | None:
        status, answer = await self._get("get_schema", subject=subject, version="latest")
        if status == 404:
            return None
        if status == 200 and isinstance(answer.get("schema"), str) and isinstance(answer.get("id"), int):
            return answer
        raise RegistryUnreachable(f"not the answer of a schema registry to a request for a subject: {status}")

    async def _get(self, path: str, **names: Any) -> tuple[int, dict[str, Any]]:
        url, method = self._client.url_manager.url_for(path, **names)
        response = await self._client.request(url, method=method)
        answer: Json = response.json()
        return response.status_code, answer if isinstance(answer, dict) else {}


def _schema(spec: TopicSpec) -> AvroSchema:
    if spec.event is None:
        raise ValueError(f"{spec.name} has no event")
    return AvroSchema(schema_of(spec.event))


@contextmanager
def _understood(subject: str) -> Iterator[None]:
    """Turn what the library raises into an error of ours. An answer of another form than it expects is no registry's.

    It looks into answers without a check: KeyError, TypeError, whatever fastavro finds wrong with a schema in it...
    """
    try:
        yield
    except RegistryError:
        raise
    except ClientError as error:
        raise _error(subject, error) from error
    except Exception as error:
        raise RegistryUnreachable(
            f"{subject}: not the answer of a schema registry: {type(error).__name__}: {quoted(str(error))}"
        ) from error


def _error(subject: str, error: ClientError) -> RegistryError:
    answer: Any = error.server_traceback
    reason = printable(str(answer.get("message"))) if isinstance(answer, dict) and answer.get("message") else None
    if error.http_code in (409, 422):
        return IncompatibleSchema(subject, reason or str(error))
    return RegistryUnreachable(f"{subject}: {error} ({error.http_code}): {reason}")
