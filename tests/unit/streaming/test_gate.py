"""The gate: what was fetched under one opening is of no use under another."""

from atp_stream.streaming.gate import Fetch, Gate, Opening
from atp_stream.streaming.membership import Membership
from atp_stream.streaming.records import Partition

from .samples import Consumed

MEMBER = Membership(1, "m")


def test_given_a_new_gate_then_it_is_shut() -> None:
    assert Gate().opening is None


def opened(gate: Gate) -> Opening:
    gate.open(MEMBER)
    assert gate.opening is not None
    return gate.opening


def test_given_an_open_gate_when_closed_then_there_is_no_opening() -> None:
    gate = Gate()
    opened(gate)
    gate.close()
    assert gate.opening is None


def test_given_a_gate_when_opened_twice_under_one_membership_then_the_openings_differ() -> None:
    gate = Gate()
    first, second = opened(gate), opened(gate)
    assert first is not second
    assert first != second
    assert first.membership == second.membership


def test_given_a_new_opening_then_nothing_waits_and_nothing_was_fetched_under_it() -> None:
    gate = Gate()
    first = opened(gate)
    first.waiting = first.fetched = first.taken = 5
    second = opened(gate)
    assert (second.waiting, second.fetched, second.taken) == (0, 0, 0)


def test_given_records_of_several_partitions_then_the_size_of_a_fetch_counts_all() -> None:
    records = {Partition("a", 0): [Consumed(), Consumed()], Partition("b", 3): [Consumed()]}
    assert Fetch(Opening(MEMBER), 1, records).size == 3
    assert Fetch(Opening(MEMBER), 1, {}).size == 0


def test_given_large_records_then_a_fetch_weighs_more_than_it_counts() -> None:
    records = [Consumed(value=None), Consumed(value=b"x" * 1023), Consumed(value=b"x" * 10_240)]
    fetch = Fetch(Opening(MEMBER), 1, {Partition("a", 0): records})
    assert (fetch.size, fetch.weight) == (3, 13)
