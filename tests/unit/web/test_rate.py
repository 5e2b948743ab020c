"""How many requests one principal may make: exactly so many, whoever else asks."""

import pytest

from atp_stream.web import rate
from atp_stream.web.errors import ApiError
from atp_stream.web.rate import Rate


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def taken(rates: Rate, name: str, times: int) -> int:
    """Ask so many times; return how many were let through."""
    refused: list[ApiError] = []
    for _ in range(times):
        try:
            rates.take(name)
        except ApiError as error:
            refused.append(error)
    assert {(one.status, one.code) for one in refused} <= {(429, "TOO_MANY_REQUESTS")}
    assert all(int(one.headers["Retry-After"]) >= 1 for one in refused)
    return times - len(refused)


def test_given_a_rate_then_so_many_are_let_through_at_once_and_then_as_time_goes_by() -> None:
    clock = Clock()
    rates = Rate(100, clock)
    assert taken(rates, "a", 500) == 100
    assert taken(rates, "b", 50) == 50
    clock.seconds += 0.5
    assert taken(rates, "a", 500) == 50
    clock.seconds += 3600
    assert taken(rates, "a", 500) == 100


def test_given_requests_that_are_refused_then_they_do_not_put_off_the_next_that_is_let_through() -> None:
    clock = Clock()
    rates = Rate(1, clock)
    assert taken(rates, "a", 1_000) == 1
    clock.seconds += 1.0
    assert taken(rates, "a", 1_000) == 1


def test_given_more_names_than_are_remembered_then_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_MOST_NAMES", 10)
    clock = Clock()
    rates = Rate(100, clock)
    for number in range(1_000):
        clock.seconds += 0.001 * (number < 500)  # then it stands still, and nobody's allowance is full again
        rates.take(str(number))
        assert len(rates._full_at) <= 10
