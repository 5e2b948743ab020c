"""atp-stream demo: everything on this machine in one command, and a live view of what it does."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from atp_stream.admin import registry as registry_access
from atp_stream.admin.data_dir import demo_root, held
from atp_stream.admin.kafka import connect, require_advertised
from atp_stream.admin.resolve import with_cluster
from atp_stream.admin.topics import any_count, plan, specs
from atp_stream.admin.topics_apply import apply
from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.errors import EXIT_OK, AppError, TemporaryError, UnavailableError
from atp_stream.local import LocalCluster, Progress, Report, shown
from atp_stream.observability import set_up_logging
from atp_stream.settings import Settings
from atp_stream.tools.demo_board import Board, Rate
from atp_stream.tools.demo_feed import DemoFeed
from atp_stream.tools.demo_screen import Screen
from atp_stream.tools.demo_view import Status
from atp_stream.tools.demo_worker import DemoWorker
from atp_stream.tools.event_line import WORDS
from atp_stream.tools.feed import Feed
from atp_stream.tools.output_consumer import OutputConsumer
from atp_stream.tools.stopping import Stop, stop_signals
from atp_stream.tools.tail import topic_names
from atp_stream.tools.terminal import console, note

_MOST_BAD_PERCENT: Final = 1.0
_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.1
_CHECK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the demo consists of. kafka: where it is and whose; cluster: None where it was configured."""

    kafka: str
    cluster: LocalCluster | None
    worker: DemoWorker
    feed: DemoFeed
    consumer: OutputConsumer
    directory: Path


def run_demo(settings: Settings, rate: float, items: int, duration: float | None) -> int:
    """Start what is missing, feed made-up events, and show what comes out until a signal comes; return 0.

    duration: seconds from the first numbers on; None: for ever. Whatever was started here is ended here. Topics, state
    and the downloaded software stay, so that the next time is quick; the feed releases what it has reserved.
    AppError: something cannot be started or reached, or the worker has ended.
    """
    set_up_logging("warning", "text")
    began = time.monotonic()
    directory = demo_root()
    with stop_signals() as stop:
        with ExitStack() as stack:
            with stop.interrupting():
                stack.enter_context(_only_one(directory))
                with shown(console(sys.stderr)) as report:
                    parts = _start(settings, stack, directory, report, rate=rate, items=items)
            board = Board(time.time_ns() // 1_000_000)
            parts.feed.start()
            first = _watch(parts, board, stop, duration, began)
            note("ending what was started ...")
        print(_summary(parts, board, first))
    return EXIT_OK


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Refuse a second demo: it would end with the first one's cluster."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(directory))
        except TemporaryError as error:
            raise TemporaryError(
                "a demo is running already", cause=error.cause, fix="watch that one, or end it first"
            ) from None
        yield


def _start(settings: Settings, stack: ExitStack, directory: Path, report: Report, *, rate: float, items: int) -> _Parts:
    """Start everything but the feed. What is to be ended is put on the stack, in the order in which it can be."""
    if settings.kafka.bootstrap_servers:
        cluster, whose = None, "configured"
        note(f"made-up events go to {', '.join(settings.topics.sources)}")
    else:
        whose = "was running" if LocalCluster.running() else "ends with the demo"
        cluster = stack.enter_context(LocalCluster.start(report=report, owned=True))
    settings = with_cluster(settings)
    with _step(report, "creating the topics"):
        _create_topics(settings)
    with _step(report, "registering the schemas"):
        # The feed's first: it stands in for Inventory Core, whose subjects are not ours to fill.
        feed = DemoFeed(Feed(settings, rate=rate, items=items, seed=None, bad_percent=_bad_percent(settings, rate)))
        registry_access.register(settings)
    consumer = OutputConsumer(settings, topic_names(settings, ["all"]), from_beginning=False)
    stack.callback(consumer.close)
    worker = DemoWorker(settings, directory)
    stack.callback(worker.stop)
    with _step(report, "starting the worker"):
        worker.start()
        _await(worker, ("restoring", "ready"))
    with _step(report, "restoring the worker's state"):
        _await(worker, ("ready",))
    stack.callback(_stop_feed, feed)
    servers = ",".join(settings.kafka.bootstrap_servers)
    return _Parts(f"{servers} ({whose})", cluster, worker, feed, consumer, directory)


@contextmanager
def _step(report: Report, name: str) -> Iterator[None]:
    report(Progress(name, 0, 1))
    yield
    report(Progress(name, 1, 1))


def _bad_percent(settings: Settings, rate: float) -> float:
    """Return how much of the input is broken: at most half of what would make the worker stop."""
    return min(_MOST_BAD_PERCENT, 100 * settings.worker.dead_letters_per_minute / 60 / 2 / rate)


def _create_topics(settings: Settings) -> None:
    """Create what is missing; settings of topics that exist are not the demo's to change."""
    cluster = connect(settings.kafka)
    require_advertised(cluster, settings.kafka)
    planned = plan(cluster.admin, specs(settings), any_count(settings))
    apply(cluster.admin, replace(planned, alter=()), settings.topics.replication_factor)


def _await(worker: DemoWorker, states: tuple[str, ...]) -> None:
    until = time.monotonic() + _READY_SECONDS
    while worker.state() not in states:
        worker.require_running()
        if time.monotonic() > until:
            raise UnavailableError(
                f"the worker is not ready after {_READY_SECONDS:.0f} s",
                cause="the last lines of its log:\n  " + "\n  ".join(worker.last_lines(10)),
                fix=f"see {worker.log}",
            )
        time.sleep(_POLL_SECONDS)


def _watch(parts: _Parts, board: Board, stop: Stop, duration: float | None, began: float) -> float | None:
    """Show what comes out, until the duration is over or a stop is asked for.

    Returns how many seconds the first numbers took. AppError: the worker, the feed or the local Kafka has ended.
    """
    started, checked = time.monotonic(), 0.0
    first: float | None = None
    rates = Rate(), Rate()

    def status() -> Status:
        now, sent = time.time_ns() // 1_000_000, parts.feed.feed.sent
        shown_for = time.monotonic() - (began + first) if first is not None else 0.0
        return Status(
            kafka=parts.kafka,
            worker=f"process {parts.worker.pid}",
            now=now,
            seconds=shown_for,
            sent=sent,
            broken=parts.feed.feed.counts["broken"],
            in_rate=rates[0].at(now, sent),
            out_rate=rates[1].at(now, board.out),
            foot=f"board: {parts.worker.url}   Ctrl-C ends the demo   first numbers after {first or 0:.1f} s   "
            f"worker's log: {parts.worker.log}",
        )

    with Screen(sys.stdout) as screen:
        while not stop.asked:
            for received in parts.consumer.receive(_POLL_SECONDS):
                board.take(received, time.time_ns() // 1_000_000)
            now = time.monotonic()
            if first is None and board.first is not None:
                first = now - began
            if first is None and now > started + _READY_SECONDS:
                raise UnavailableError(
                    f"nothing has come out for {_READY_SECONDS:.0f} s",
                    cause="the worker runs; the last lines of its log:\n  " + "\n  ".join(parts.worker.last_lines(10)),
                    fix=f"see {parts.worker.log}",
                )
            if duration is not None and first is not None and now > began + first + duration:
                break
            if now > checked + _CHECK_SECONDS:
                checked = now
                _require_running(parts)
            screen.show(board, status)
    return first


def _require_running(parts: _Parts) -> None:
    # Kafka first: without it the others end too, and theirs is not the reason.
    if parts.cluster is not None and not parts.cluster.kafka.running:
        raise UnavailableError(
            "Kafka has ended", cause="its process is gone", fix=f"see {parts.cluster.status().kafka.log}"
        )
    parts.worker.require_running()
    parts.feed.require_running()


def _stop_feed(feed: DemoFeed) -> None:
    """What cannot be delivered any more is no reason to leave anything else running."""
    try:
        feed.stop()
    except AppError as error:
        note(f"{error.message}: {error.cause}")


def _summary(parts: _Parts, board: Board, first: float | None) -> str:
    counts = parts.feed.feed.counts
    kinds = ", ".join(f"{board.totals[kind]:,} {WORDS[kind]}" for kind in OUTPUT_TOPICS if board.totals[kind])
    lines = [
        f"in:    {parts.feed.feed.sent:,} events, {counts['broken']:,} broken on purpose",
        f"out:   {board.out:,} events: {kinds}; {board.totals['DeadLetter']:,} dead letters",
        f"first numbers after {first:.1f} s" if first is not None else "no numbers yet",
        f"the board was at {parts.worker.url}",
        f"log of the worker: {parts.worker.log}",
        f"its state: {parts.directory / 'worker'} (kept)",
    ]
    if parts.cluster is not None:
        lines.append(
            f"topics and schemas: {parts.cluster.directory} (kept; `atp-stream local down --wipe` deletes them)"
        )
    return "\n".join(lines)
