"""The same targets under Hypothesis: a few hundred inputs each, the same in every run."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atp_stream.contracts.keys import item_key, reservation_key, split_item_key

from .target import ACCEPTED, Target, close_loop
from .targets import TARGETS

EXAMPLES = settings(
    max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(autouse=True, scope="module")
def _one_loop() -> Iterator[None]:
    yield
    close_loop()


@st.composite
def changed(draw: st.DrawFn, target: Target) -> bytes:
    """A good input after some changes, by its format or of mere bytes."""
    data = draw(st.sampled_from(target.seeds()))
    random = draw(st.randoms(use_true_random=False))
    for _ in range(draw(st.integers(0, 3))):
        if target.mutate is not None and draw(st.booleans()):
            data = target.mutate(data, random)
        else:
            at = draw(st.integers(0, len(data)))
            data = data[:at] + draw(st.binary(max_size=6)) + data[at + draw(st.integers(0, 3)) :]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_given_a_good_input_when_it_comes_as_it_is_then_it_is_taken(name: str) -> None:
    target = TARGETS[name]
    assert ACCEPTED in {target.run(data) for data in target.seeds()}


@pytest.mark.parametrize("name", TARGETS)
def test_given_any_input_when_it_comes_in_then_it_is_taken_right_or_refused_with_its_cause(name: str) -> None:
    target = TARGETS[name]

    @EXAMPLES
    @given(changed(target))
    def check(data: bytes) -> None:
        assert target.run(data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_given_mere_bytes_when_they_come_in_then_the_same_holds(name: str) -> None:
    target = TARGETS[name]

    @settings(EXAMPLES, max_examples=60)
    @given(st.binary(max_size=300))
    def check(data: bytes) -> None:
        assert target.run(data)

    check()


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@EXAMPLES
@given(ids, ids, ids, ids, ids, ids)
def test_given_two_triples_of_ids_when_their_keys_are_equal_then_so_are_they(
    tenant: str, item: str, reservation: str, other: str, another: str, third: str
) -> None:
    one, two = item_key(tenant, item), item_key(other, another)
    assert split_item_key(one) == (tenant, item)
    assert (one == two) == ((tenant, item) == (other, another))
    entries = reservation_key(one, reservation), reservation_key(two, third)
    assert (entries[0] == entries[1]) == ((tenant, item, reservation) == (other, another, third))
    assert not {*entries} & {one, two}
