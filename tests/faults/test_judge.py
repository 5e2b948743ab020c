"""What the checker judges by, on observations: nothing to find in a healthy one, and every planted fault found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from atp_stream.local import LocalCluster
from tests.pipeline.core import CREATED, RELEASED, STOCK
from tests.pipeline.deployment import Deployment
from tests.pipeline.item import Policy
from tests.pipeline.oracle import OUTPUTS
from tests.pipeline.publishing import Source
from tests.pipeline.waiting import until

from .checker import Checker
from .deployed import names_of
from .difference import Difference, report
from .feed import Feed
from .judge import Judge
from .observation import Names, Observation
from .observer import Observer
from .planted import Planter

POLICY = Policy("7", ("ECOM", "POS"), Decimal("5.00"), {"POS": Decimal("10.00")}, {"ECOM": Decimal("60.00")})
SOURCES = {
    "stock": Source(STOCK, 3),
    "created": Source(CREATED, 3),
    "released": Source(RELEASED, 2),
    "json": Source(CREATED, 2, "json"),
    "keyed": Source(STOCK, 4, keyed_by_item=True),
}
AGAIN = "output again, or not called for"
FORWARDED = "input forwarded again, or from nowhere"
LETTER = "dead letter again, or of good input"


def publish_special(deployment: Deployment) -> None:
    """What a feed has too rarely for a test to count on."""
    core = deployment.core
    stock, created = deployment.source(STOCK), deployment.source(CREATED)
    deployment.raw(stock, None, b"k", 0, {"own": b"1"})
    deployment.raw(stock, b"nonsense", None, 0)
    deployment.raw(created, b"\x00\x70\x00\x00\x00more", b"k", 0)
    # The second of these is more than an output could carry in sum: refused where it is decided.
    most = "9999999999999999.99"
    deployment.publish(*(core.stock("a/b %", most, None, f"l-{number}") for number in range(2)), partition=0)
    deployment.publish(core.created("a/b %", "r/1", "7.00"), headers={"traceparent": b"00-1-2-01"})


def feed(deployment: Deployment, seed: int, count: int) -> None:
    with Feed(deployment, seed, rate=400) as feeding:
        until(f"{count} events are published", lambda: feeding.made >= count, deployment.shown)


@dataclass(frozen=True)
class Healthy:
    """What was seen of a deployment in which nothing is wrong."""

    names: Names
    schemas: dict[int, Any]
    seen: Observation

    def judged(self, seen: Observation, partial: bool = False) -> list[Difference]:
        return Judge(self.names, POLICY, self.schemas).judge(seen, partial=partial)


@pytest.fixture(scope="module")
def healthy(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healthy]:
    """Three rounds with workers that come and go, with a check after each; then all of it in one observation."""
    directory = tmp_path_factory.mktemp("checked")
    with Deployment(
        cluster.bootstrap_servers, cluster.registry_url, "checked", directory, sources=SOURCES, policy=POLICY
    ) as deployment:
        first, second = deployment.worker("w1"), deployment.worker("w2")
        stores = {worker.name: worker.data for worker in (first, second)}
        names = names_of(deployment)
        with Checker.of(deployment) as checker:
            steps: list[Callable[[], object]] = [first.start, second.start, first.stop]
            for number, step in enumerate(steps):
                step()
                feed(deployment, number, 150)
                assert not (found := checker.check(partial=True)), report(found)
                publish_special(deployment)
                checker.settle(deployment.require_workers, deployment.shown)
                assert not (found := checker.check(stores)), report(found)  # the workers run
            assert checker.counts()["dead letters"] >= 12
        with Observer(deployment.servers, names) as observer:
            seen = observer.look(stores, patience=5)
        yield Healthy(names, deployment.schemas, seen)


def test_given_a_healthy_deployment_when_all_of_it_is_judged_at_once_then_there_is_no_difference(
    healthy: Healthy,
) -> None:
    seen = healthy.seen
    assert not (found := healthy.judged(seen.copy())), report(found)
    assert {stored.worker for stored in seen.stores} == {"w1", "w2"}
    assert {entry.topic for entry in seen.outputs} == set(OUTPUTS.values())
    # The first was stopped before the last round: what it has left is older, and right as far as it goes.
    stale = [
        each
        for each in seen.stores
        if each.reaches is not None and each.reaches < seen.changelog_ends[each.partition] - 2
    ]
    assert {each.worker for each in stale} == {"w1"}


PLANTED = [
    ("output_removed", {"output lost"}),
    ("output_twice", {AGAIN}),
    ("outputs_swapped", {"output lost", "wrong output", AGAIN}),
    ("output_from_nowhere", {AGAIN}),
    ("available_off_by_a_cent", {"wrong output"}),
    ("wrong_allocation_id", {"wrong output"}),
    ("wrong_event_id", {"wrong output"}),
    ("wrong_reason", {"wrong output"}),
    ("wrong_cause", {"wrong output"}),
    ("header_more", {"wrong output"}),
    ("wrong_partition", {"wrong output"}),
    ("another_schema_id", {"wrong output"}),
    ("wrong_sequence", {"output lost", AGAIN}),
    ("change_removed", {"input lost"}),
    ("input_forwarded_twice", {FORWARDED}),
    ("input_changed_on_its_way", {"input changed on its way"}),
    ("inputs_out_of_order", {"input out of order"}),
    ("letter_removed", {"dead letter lost"}),
    ("letter_twice", {LETTER}),
    ("letter_with_another_code", {"wrong error code"}),
    ("letter_cut", {"dead letter not whole"}),
    ("good_input_set_aside", {"input lost", LETTER}),
    ("wrong_number_in_the_changelog", {"wrong changelog", "wrong local state"}),
    ("changelog_record_removed", {"wrong changelog", "wrong local state"}),
    ("changelog_tombstone", {"changelog record without key or value"}),
    ("watermark_off_by_one", {"wrong watermark", "wrong local state"}),
    ("committed_behind", {"wrong committed offset"}),
    ("committed_ahead", {"wrong committed offset"}),
    ("committed_lost", {"no committed offset"}),
    ("stored_value_changed", {"wrong local state"}),
    ("stored_value_lost", {"wrong local state"}),
    ("store_ahead", {"local state ahead"}),
    ("store_behind", {"no local state is up to date"}),
    ("probe_unseen", {"probe not visible"}),
    ("transaction_open", {"open transaction"}),
]


@pytest.mark.parametrize(("fault", "kinds"), PLANTED, ids=[fault for fault, _ in PLANTED])
def test_given_a_planted_fault_when_it_is_judged_then_it_is_found_for_what_it_is(
    healthy: Healthy, fault: str, kinds: set[str]
) -> None:
    seen = healthy.seen.copy()
    getattr(Planter(seen, healthy.names.tenant, healthy.names.changes), fault)()
    found = healthy.judged(seen)
    assert kinds <= {each.kind for each in found}, report(found)


@pytest.mark.parametrize("fault", ["output_twice", "available_off_by_a_cent", "input_forwarded_twice", "letter_twice"])
def test_given_work_that_goes_on_when_a_look_is_partial_then_what_is_wrong_already_is_found(
    healthy: Healthy, fault: str
) -> None:
    seen = healthy.seen.copy()
    getattr(Planter(seen, healthy.names.tenant, healthy.names.changes), fault)()
    assert healthy.judged(seen, partial=True)


def test_given_work_that_goes_on_when_a_look_is_partial_then_what_is_still_to_come_is_found_by_the_next(
    healthy: Healthy,
) -> None:
    names = healthy.names
    judge = Judge(names, POLICY, healthy.schemas)
    whole = healthy.seen
    half = len(whole.outputs) // 2
    early = Observation(dict.fromkeys(whole.committed), whole.sources, whole.changes, [], whole.outputs[:half])
    assert not (found := judge.judge(early, partial=True)), report(found)
    rest = whole.copy()
    rest.sources, rest.changes, rest.outputs = [], [], whole.outputs[half:]
    assert not (found := judge.judge(rest)), report(found)
