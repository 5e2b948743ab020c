"""The application, wired together: settings, registry, stages and the streaming worker meet here and nowhere else.

What happens to one event: docs/life-of-an-event.md.
"""

import asyncio
import errno
import logging
import ssl
import time
from collections.abc import Callable

import faust
from pydantic import SecretStr

from atp_stream.admin.asyncapi import asyncapi_of
from atp_stream.admin.registry import described, open_registry
from atp_stream.admin.streaming_errors import app_error
from atp_stream.admin.topics import STATE_TABLE, origins_name, specs
from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.contracts.errors import RegistryError, RegistryUnreachable, RegistryUntrusted
from atp_stream.contracts.inputs import InputDecoder
from atp_stream.contracts.outputs import OutputEncoder
from atp_stream.contracts.registry import SchemaRegistry
from atp_stream.errors import (
    AppError,
    DataError,
    SoftwareError,
    TemporaryError,
)
from atp_stream.observability import set_up_logging
from atp_stream.settings import KafkaSettings, Settings, confluent_config
from atp_stream.settings.policy import to_policy
from atp_stream.stages.decide import Decide
from atp_stream.stages.ingest import Ingest
from atp_stream.streaming.engine import Source
from atp_stream.streaming.errors import StreamingError
from atp_stream.streaming.watchdog import Known
from atp_stream.streaming.worker import Options, Worker
from atp_stream.telemetry.attach import attach_telemetry
from atp_stream.web.api import add_api, open_forwarding
from atp_stream.web.board import add_board
from atp_stream.web.credentials import tls_context
from atp_stream.web.documents import add_documents
from atp_stream.web.openapi import openapi_document
from atp_stream.web.opening import open_web
from atp_stream.web.server import Web
from atp_stream.web.stream import add_stream
from atp_stream.web.views import add_views

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0


def run_worker(settings: Settings) -> int:
    """Run a worker until a signal stops it; return the exit code 0.

    `settings.worker.data_dir` must be set and held by this process. Raises `AppError` for whatever else ends it.
    """
    set_up_logging(settings.worker.log_level, settings.worker.log_format)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    registry = open_registry(settings.registry)
    try:
        schema_ids = loop.run_until_complete(_schema_ids(settings, registry))
        worker = Worker(_options(settings), sources(settings, registry, schema_ids), loop, registry)
        registry.on_answer = worker.engine.activity.move
        worker.watchdog.known = lambda: _known(worker.failure, settings)
        web = open_web(worker.app, settings.web)
        end_telemetry = add_routes(web, worker, settings)
        try:
            failure = worker.run()
        finally:
            end_telemetry()
    except StreamingError as ended:
        failure = ended
    if failure is not None:
        raise _explained(failure, settings) from failure
    return 0


def add_routes(web: Web, worker: Worker, settings: Settings) -> Callable[[], None]:
    """Serve all that there is to see of a worker. Returns what is to be called when it has ended."""
    add_views(web, worker)
    forwarding = open_forwarding(worker, settings.client.ca_location)
    add_api(web, worker, to_policy(settings), forwarding)
    add_stream(web, worker, to_policy(settings), forwarding)
    add_board(web)
    add_documents(web, openapi_document(), asyncapi_of(settings))
    return attach_telemetry(settings, worker, web, forwarding.passed_on)


def sources(settings: Settings, registry: SchemaRegistry, schema_ids: dict[str, int]) -> dict[str, Source]:
    """Return what is done with each source topic: the changes log is decided, everything else ingested into it.

    A topic that is declared as keyed by item takes the short cut and is decided where it is.
    """
    decoder = InputDecoder(registry.fetch)
    encoder = OutputEncoder(schema_ids, settings.worker.application_id if settings.worker.cloud_events else None)
    policy, mode, topics = to_policy(settings), settings.worker.emit, settings.topics
    found = {topics.changes: Source(Decide(decoder, encoder, policy, mode), stateful=True)}
    for name, topic in topics.sources.items():
        if topic.keyed_by_item:
            stage = Decide(decoder, encoder, policy, mode, topic, topics.state_partitions)
            found[name] = Source(stage, stateful=True)
        else:
            found[name] = Source(Ingest(decoder, topic, topics.changes), stateful=False)
    return found


def _options(settings: Settings) -> Options:
    worker, topics = settings.worker, settings.topics
    assert worker.data_dir is not None
    return Options(
        group=worker.application_id,
        kafka=confluent_config(settings.kafka),
        credentials=faust_credentials(settings.kafka),
        data_dir=worker.data_dir,
        table=STATE_TABLE,
        partitions=topics.state_partitions,
        dead_letters=topics.dead_letters,
        origins=origins_name(settings),
        most_records=worker.max_batch_records,
        dead_letters_per_minute=worker.dead_letters_per_minute,
        session_timeout=worker.session_timeout_seconds,
        outputs=tuple(topic for topic, _ in OUTPUT_TOPICS.values()),
        watchdog=worker.watchdog_seconds,
        web_host=settings.web.host,
        web_port=settings.web.port,
        web_url=settings.web.url,
        web_ssl=tls_context(settings.web),
    )


def faust_credentials(kafka: KafkaSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """Return the credentials for Faust's consumer, the same as `confluent_config` gives to the other clients."""
    context = None
    if kafka.security_protocol in ("SSL", "SASL_SSL"):
        context = ssl.create_default_context(cafile=str(kafka.ssl_ca_location) if kafka.ssl_ca_location else None)
        if kafka.ssl_certificate_location is not None:
            context.load_cert_chain(
                kafka.ssl_certificate_location, kafka.ssl_key_location, _secret(kafka.ssl_key_password)
            )
    if kafka.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
        return faust.SASLCredentials(
            mechanism=kafka.sasl_mechanism,
            username=kafka.sasl_username,
            password=_secret(kafka.sasl_password),
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


async def _schema_ids(settings: Settings, registry: SchemaRegistry) -> dict[str, int]:
    """Return the ids under which the schemas of the output topics are registered; wait for a registry that is away."""
    outputs = [spec for spec in specs(settings) if spec.role == "output"]
    until = time.monotonic() + settings.kafka.start_timeout_seconds
    while True:
        try:
            found = await registry.ids(outputs)
            break
        except RegistryError as error:
            may_pass = isinstance(error, RegistryUnreachable) and not isinstance(error, RegistryUntrusted)
            if not may_pass or time.monotonic() > until:
                raise described(error, settings.registry) from error
            log.warning("waiting for the schema registry: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)
    missing = sorted({f"{topic}-value" for topic, _ in OUTPUT_TOPICS.values()} - found.keys())
    if missing:
        raise DataError(
            f"{len(missing)} schemas are not registered",
            cause=", ".join(missing),
            fix="run `atp-stream schemas register`",
        )
    return found


def _explained(failure: BaseException, settings: Settings) -> AppError:
    """Return what ended the worker as an error with an exit code. What is not expected is a bug, and says so."""
    if isinstance(failure, AppError):
        return failure
    if isinstance(failure, StreamingError):
        return app_error(failure)
    if isinstance(failure, RegistryError):
        return described(failure, settings.registry)
    if isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE:
        return TemporaryError(
            f"port {settings.web.port} was taken while the worker started",
            cause=str(failure),
            setting="web.port",
            fix="start the worker again; unless the port was set explicitly, a free one is then chosen",
        )
    if isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
        return TemporaryError(
            "the worker cannot write to its data directory",
            cause=str(failure),
            setting="worker.data_dir",
            fix="free space on that disk, or check it, and start the worker again; nothing is lost",
        )
    log.error("the worker was ended by a bug; nothing of its last batch was committed", exc_info=failure)
    return SoftwareError(
        "the worker was ended by a bug; nothing of its last batch was committed",
        cause=f"{type(failure).__name__}: {failure}",
        fix="report it with the log above; the event that brought it about is not skipped, as that would be a wrong "
        "number for ever",
    )


def _known(failure: BaseException | None, settings: Settings) -> Known | None:
    """Return what the watchdog has to know of what ended the worker, if it hangs on its way out."""
    if failure is None:
        return None
    error = _explained(failure, settings)
    return Known(error.exit_code, f"{error.message}: {error.cause}; {error.fix}")


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
