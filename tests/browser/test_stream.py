"""The stream of changes over HTTP, from real workers: resumed, merged over the cluster, of one tenant."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.pipeline.core import Core
from tests.pipeline.deployment import Deployment
from tests.pipeline.health import port_of
from tests.pipeline.oracle import Policy
from tests.pipeline.worker import WorkerProcess

from .board import decided, listed

POLICY = Policy()
_PATH = "/api/v1/inventory/atp/stream"
_SILENT_SECONDS = 8.0
#: More messages than any wait here needs.
_MOST = 500


class Told(NamedTuple):
    ident: str
    event: str
    data: Any


@contextmanager
def stream(worker: WorkerProcess, query: str = "", **headers: str) -> Iterator[Iterator[Told]]:
    """Listen; the block gets the messages as they come. A second without any is no failure, eight are."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(worker), timeout=_SILENT_SECONDS)
    try:
        connection.request(
            "GET", _PATH + query, headers={name.replace("_", "-"): each for name, each in headers.items()}
        )
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield _messages(answer)
    finally:
        connection.close()


def _messages(answer: http.client.HTTPResponse) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Told(fields["id"], fields["event"], json.loads(fields["data"], parse_float=Decimal))
            fields = {}


def wait(messages: Iterator[Told], what: Callable[[Told], bool]) -> list[Told]:
    """Return the messages up to the one that is waited for."""
    found: list[Told] = []
    for message in messages:
        found.append(message)
        if what(message):
            return found
        assert len(found) < _MOST, found[-5:]
    raise AssertionError(f"the stream has ended: {found[-5:]}")


def row_of(item: str, reserved: str) -> Callable[[Told], bool]:
    def matches(told: Told) -> bool:
        rows = told.data["rows"] if told.event == "rows" else []
        return any(row["itemId"] == item and row["reserved"] == Decimal(reserved) for row in rows)

    return matches


def events_in(messages: list[Told]) -> list[str]:
    return [event["about"] for told in messages if told.event == "events" for event in told.data["events"]]


def heard_of_both(pair: Deployment, messages: Iterator[Told]) -> list[Told]:
    heard: set[str] = set()

    def both(told: Told) -> bool:
        if told.event == "worker" and told.data["ready"]:
            heard.add(told.data["url"])
        return len(heard) == len(pair.workers)

    return wait(messages, both)


def test_given_either_worker_then_it_tells_of_the_items_of_both(pair: Deployment) -> None:
    items = [f"either-{at}" for at in range(8)]
    pair.publish_changes(*(pair.core.stock(item, "9.00") for item in items))
    for worker in pair.workers:
        seen: dict[str, dict[str, Any]] = {}

        def all_of_them(told: Told, seen: dict[str, dict[str, Any]] = seen) -> bool:
            rows = told.data["rows"] if told.event == "rows" else []
            seen |= {row["itemId"]: row for row in rows if row["channel"] == "ECOM"}
            return len(seen) == len(items)

        with stream(worker, "?q=either") as messages:
            wait(messages, all_of_them)
        expected = {row["itemId"]: row for row in listed(worker, q="either", channel="ECOM")}
        assert {name: row["available"] for name, row in seen.items()} == {
            name: row["available"] for name, row in expected.items()
        }


def test_when_it_breaks_off_then_it_goes_on_with_what_was_missed_and_nothing_else(pair: Deployment) -> None:
    serving, other = pair.workers
    items = [f"resume-{at}" for at in range(6)]
    pair.publish_changes(*(pair.core.stock(item, "9.00") for item in items))
    for item in items:
        decided(pair, item, 1)
    with stream(serving, "?q=resume") as messages:
        last = heard_of_both(pair, messages)[-1]
        pair.publish_changes(pair.core.created(items[0], "seen", "1.00"))
        last = wait(messages, row_of(items[0], "1.00"))[-1]
        last = wait(messages, lambda told: told.event == "worker")[-1]
    pair.publish_changes(*(pair.core.created(item, f"missed-{item}", "2.00") for item in items))
    for item in items:
        decided(pair, item, 5)
    for worker in (serving, other):  # which need not be the same one
        with stream(worker, "?q=resume", Last_Event_ID=last.ident) as messages:
            told: list[Told] = []
            while len(events_in(told)) < len(items):
                told += wait(messages, lambda each: each.event == "events")
        assert len(set(events_in(told))) == len(events_in(told)) == len(items)
        assert all(each.event not in ("reset", "courses") for each in told)


@pytest.mark.parametrize("ident", ["0123abcd.5", "0123abcd.5,ffffffff.0"])
def test_given_a_worker_that_nobody_knows_any_more_then_the_list_has_to_be_read_anew(
    pair: Deployment, ident: str
) -> None:
    with stream(pair.workers[0], Last_Event_ID=ident) as messages:
        found = wait(messages, lambda told: told.event == "reset")
        assert found[-1].data == {"reason": "lost"}
        assert "0123abcd" not in wait(messages, lambda told: told.event == "worker")[-1].ident


def test_given_another_tenant_then_nothing_of_it_is_told(pair: Deployment) -> None:
    south = Core("south")
    with stream(pair.workers[0], f"?tenantId={pair.core.tenant}") as messages:
        heard_of_both(pair, messages)
        pair.publish_changes(*(south.stock(f"secret-{at}", "5.00") for at in range(4)))
        pair.publish_changes(pair.core.stock("ours", "7.00"))
        found = wait(messages, row_of("ours", "0.00"))
    assert "secret" not in str(found)


def test_given_a_stream_for_another_worker_then_it_is_of_one_worker_only(pair: Deployment) -> None:
    with stream(pair.workers[0], "?scope=worker") as messages:
        found = [next(messages) for _ in range(4)]
    assert {told.ident.partition(".")[0] for told in found} == {found[0].ident.partition(".")[0]}
    assert all("," not in told.ident for told in found)
