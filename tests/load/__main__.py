"""`python -m tests.load`: queries and events at one worker, alone and together, and how long each takes."""

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import psutil

from atp_stream.local import LocalCluster
from tests.pipeline.core import CREATED, RELEASED, STOCK
from tests.pipeline.deployment import Deployment
from tests.pipeline.health import port_of
from tests.pipeline.publishing import Source
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

from . import events, queries
from .latencies import Latencies

_SOURCES = {"stock": Source(STOCK, 12), "created": Source(CREATED, 12), "released": Source(RELEASED, 6)}
_HEAD = ("", "count", "failed", "p50 ms", "p95 ms", "p99 ms", "longest ms")
_WARM_SECONDS = 3.0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--queries", "asked", type=click.FloatRange(1), default=1000, show_default=True, help="Queries a second.")
@click.option("--events", "sent", type=click.FloatRange(1), default=1000, show_default=True, help="Events a second.")
@click.option("--items", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=20, show_default=True, help="Length of each phase.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(asked: float, sent: float, items: int, seconds: float, as_json: bool) -> None:
    """Load one worker with events, with queries, and with both, and print what each did to the other.

    Times count from when a query or an event was due: one that waits behind slow ones is slow itself. An event's ends
    when a consumer of committed data has its availability. Exits with 1 if anything failed.
    """
    with tempfile.TemporaryDirectory() as name, LocalCluster.start(Path(name) / "cluster", owned=True) as cluster:
        servers, registry = cluster.bootstrap_servers, cluster.registry_url
        with Deployment(servers, registry, "load", Path(name), sources=_SOURCES, partitions=12) as deployment:
            worker = deployment.worker().start()
            rows = _phases(deployment, worker, _url(worker), (asked, sent), items, seconds)
    if as_json:
        click.echo(json.dumps({name: asdict(found) for name, found in rows.items()}, indent=2))
    else:
        _print(rows)
    sys.exit(1 if any(found.failed for found in rows.values()) else 0)


def _url(worker: WorkerProcess) -> str:
    port = until("the worker says its port", lambda: port_of(worker), worker.shown)
    return f"http://127.0.0.1:{port}"


def _phases(
    deployment: Deployment, worker: WorkerProcess, url: str, rates: tuple[float, float], items: int, seconds: float
) -> dict[str, Latencies]:
    deployment.publish(*(deployment.core.stock(f"item-{number}", "100.00") for number in range(items)))
    deployment.settled()
    asked, sent = rates
    headers = {"X-Tenant-ID": deployment.core.tenant}
    ids = dict(deployment.schema_ids)

    def feed(length: float, number: int) -> Any:
        return (
            events.run,
            events.Feed(
                deployment.servers,
                deployment.sources,
                ids,
                deployment.core.tenant,
                items,
                sent,
                length,
                number * 1_000_000,
            ),
        )

    def ask(length: float) -> Any:
        return queries.run, queries.Questions(url, headers, items, asked, length)

    _together(feed(_WARM_SECONDS, 1), ask(_WARM_SECONDS))
    cpu = _Cpu(worker.pid)
    rows: dict[str, Latencies] = {}
    (rows["events alone"],) = _together(feed(seconds, 2))
    cpu.note("events alone")
    (alone,) = _together(ask(seconds))
    rows["queries alone"] = _checked(alone)
    cpu.note("queries alone")
    rows["events with queries"], both = _together(feed(seconds, 3), ask(seconds))
    rows["queries with events"] = _checked(both)
    cpu.note("both")
    return rows


class _Cpu:
    """What the worker took of a core, phase by phase."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._last = (time.monotonic(), self._used())

    def _used(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def note(self, phase: str) -> None:
        now = (time.monotonic(), self._used())
        share = (now[1] - self._last[1]) / (now[0] - self._last[0])
        self._last = now
        click.echo(f"{phase}: the worker took {share:.0%} of a core", err=True)


def _checked(found: tuple[Latencies, dict[str, int]]) -> Latencies:
    latencies, failed = found
    for what, count in failed.items():
        click.echo(f"{count} queries failed: {what}", err=True)
    return latencies


def _together(*jobs: tuple[Callable[[Any, Connection], None], Any]) -> list[Any]:
    """Run each in a process of its own, all at once, and return what they tell."""
    context = multiprocessing.get_context("spawn")
    running = []
    for run, task in jobs:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=run, args=(task, theirs), daemon=True)
        process.start()
        theirs.close()
        running.append((process, ours))
    found = [ours.recv() for _, ours in running]
    for process, _ in running:
        process.join()
    return found


def _print(rows: dict[str, Latencies]) -> None:
    table = [list(_HEAD), *([name, *found.cells()] for name, found in rows.items())]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    for row in table:
        click.echo(
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        )


if __name__ == "__main__":
    main()
