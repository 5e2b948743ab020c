"""Who answers a question about an item: the owner, or nobody. Two workers as web servers in this process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import rocksdict
from aiohttp import web
from aiohttp.test_utils import TestServer

from atp_stream.contracts.keys import item_key
from atp_stream.contracts.state_codec import encode_item
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import Cause, ItemState, Stock
from atp_stream.streaming.committed import Committed
from atp_stream.streaming.inspection import Moving, NotHere, Place
from atp_stream.streaming.partition_state import PartitionState
from atp_stream.web import queries as queries_module
from atp_stream.web.auth import NOBODY_ASKED, PRINCIPAL
from atp_stream.web.errors import ApiError, error_response
from atp_stream.web.forwarding import Forwarding
from atp_stream.web.models import quantity
from atp_stream.web.queries import Queries

POLICY = Policy("1", ("ECOM", "POS"), 0, {})
TENANT = {"X-Tenant-ID": "t"}
KEY = item_key("t", "DRILL")
DRILL = ItemState(
    {"l-1": {"ECOM": Stock(15000, 1)}},
    {"ECOM": 3000},
    {"ECOM": (12000, 3000)},
    3,
    Cause("e-2", "ReservationCreatedEvent", 2),
)
ANSWER = b'{"itemId":"DRILL","channel":"ECOM","available":120.00,"reserved":30.00,"promiseDate":null}'
NOTHING = Committed({}, [], [], 0, 0, 0)


@dataclass
class Look:
    """Takes the place of the inspection: one partition, which is here, on its way, or another's."""

    own_url: str = "http://here"
    partitions: int = 1
    state: PartitionState | None = None
    owner: str | None = "http://here"
    is_moving: bool = False
    last_input: int | None = 1000
    asked: int = 0
    #: After so many looks it moves.
    moves_after: int = 1_000_000

    def partition(self, number: int) -> PartitionState:
        self.asked += 1
        if self.is_moving or self.asked > self.moves_after:
            raise Moving("being restored")
        if self.state is None:
            raise NotHere
        return self.state

    def place(self, key: bytes) -> Place:
        return Place(0, self.owner)

    def as_of(self, number: int) -> int | None:
        return self.last_input


@dataclass
class Front:
    """A worker that can be asked."""

    look: Look
    queries: Queries
    url: str

    async def ask(self, path: str = "availability?itemId=DRILL&channel=ECOM", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/{path}", headers={**TENANT, **named}) as answer,
        ):
            body = await answer.read()
            return answer.status, answer.headers, body


@web.middleware
async def guarded(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    request[PRINCIPAL] = NOBODY_ASKED
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error, "0" * 32)


@asynccontextmanager
async def worker(look: Look, group: str = "g") -> AsyncIterator[Front]:
    inspection: Any = look
    queries = Queries(inspection, POLICY, Forwarding(inspection, group))
    app = web.Application(middlewares=[guarded])
    app.router.add_get("/availability", queries.availability)
    app.router.add_get("/pools/{itemId}", queries.pools)
    app.router.add_get("/reservations/{reservationId}", queries.reservation)
    async with TestServer(app) as server:
        look.own_url = str(server.make_url("")).rstrip("/")
        if look.owner == "http://here":
            look.owner = look.own_url
        yield Front(look, queries, look.own_url)
        await queries.forwarding.close()


@pytest.fixture
def held(tmp_path: Path) -> PartitionState:
    state = PartitionState(tmp_path / "p", rocksdict.Cache(1 << 20))
    state.write({KEY: encode_item(DRILL)}, 1)
    return state


async def test_given_an_owner_when_another_is_asked_then_its_answer_comes_back_with_its_headers(
    held: PartitionState,
) -> None:
    async with worker(Look(state=held)) as owner, worker(Look(owner=owner.url)) as other:
        for asked in (owner, other):
            status, headers, body = await asked.ask()
            assert (status, body) == (200, ANSWER)
            assert headers["Atp-Worker"] == owner.url
            assert (headers["Atp-Position"], headers["Atp-As-Of"]) == ("3", "1000")
            assert float(headers["Atp-Age"]) > 0
            status, headers, _ = await asked.ask("pools/none")
            assert (status, headers["Atp-Worker"], headers["Atp-Position"]) == (404, owner.url, "0")
        assert other.queries.forwarding.passed_on == {"answered": 2}


async def test_given_a_partition_just_taken_over_when_asked_then_the_age_is_that_of_the_items_last_change(
    held: PartitionState,
) -> None:
    async with worker(Look(state=held, last_input=None)) as asked:
        assert DRILL.changed is not None
        assert (await asked.ask())[1]["Atp-As-Of"] == str(DRILL.changed.timestamp)
        assert "Atp-As-Of" not in (await asked.ask("pools/none"))[1]


async def test_given_a_partition_that_moves_when_asked_then_it_is_503_and_never_404(held: PartitionState) -> None:
    async with worker(Look(state=held, is_moving=True)) as asked:
        status, headers, body = await asked.ask("pools/none")
        assert (status, headers["Retry-After"], b'"MOVING"' in body) == (503, "1", True)
    async with worker(Look(owner=None)) as asked:
        assert (await asked.ask())[0] == 503


async def test_given_two_workers_of_one_address_when_asked_for_the_others_item_then_the_setting_is_named() -> None:
    async with worker(Look()) as asked:
        status, _, body = await asked.ask()
        assert (status, b"web.advertised_url" in body) == (503, True)


async def test_given_workers_that_take_each_other_for_the_owner_when_asked_then_it_does_not_go_round() -> None:
    async with worker(Look()) as one, worker(Look(owner=one.url)) as other:
        one.look.owner = other.url
        status, _, body = await other.ask()
        assert (status, b'"MOVING"' in body) == (503, True)
        assert one.look.asked == 1


async def test_given_a_worker_of_another_group_at_the_address_when_asked_then_its_numbers_are_not_told(
    held: PartitionState,
) -> None:
    async with worker(Look(state=held), group="other") as foreign, worker(Look(owner=foreign.url)) as asked:
        status, _, body = await asked.ask()
        assert (status, b"web.advertised_url" in body, b"120" in body) == (503, True, False)


@dataclass
class Stranger:
    """Something else that listens where the owner should."""

    answer: Callable[[web.Request], web.StreamResponse]
    seen: list[Any] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.seen.append((request.path_qs, dict(request.headers)))
            return self.answer(request)

        app = web.Application()
        app.router.add_get("/{tail:.*}", handle)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda _: web.Response(body=ANSWER, headers={"Atp-Worker": "http://other"}),
        lambda _: web.Response(body=ANSWER),
        lambda _: web.Response(status=500),
        lambda _: web.Response(body=b"x" * (9 << 20)),
    ],
)
async def test_given_something_else_at_the_owners_address_when_asked_then_nothing_of_it_is_told_or_followed(
    answer: Callable[[web.Request], web.StreamResponse],
) -> None:
    stranger = Stranger(answer)
    async with stranger.serve() as url, worker(Look(owner=url)) as asked:
        status, headers, body = await asked.ask()
        assert (status, b'"OWNER_UNREACHABLE"' in body) == (503, True)
        assert int(headers["Retry-After"]) >= 1
        assert len(stranger.seen) == 1
        assert asked.queries.forwarding.passed_on == {"unreachable": 1}


async def test_given_a_request_when_it_is_passed_on_then_token_tenant_and_trace_go_with_it_and_nothing_else() -> None:
    stranger = Stranger(lambda _: web.Response(status=401, headers={"WWW-Authenticate": "Bearer"}))
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    async with stranger.serve() as url, worker(Look(owner=url)) as asked:
        path = "pools/a%2Fb%20c?minPosition=0"
        status, headers, _ = await asked.ask(path, Authorization="Bearer x", traceparent=trace, Cookie="c=1")
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    ((target, passed),) = stranger.seen
    assert target == f"/{path}"
    assert passed["Authorization"] == "Bearer x"
    assert (passed["X-Tenant-ID"], passed["traceparent"]) == ("t", trace)
    assert (passed["Atp-Forwarded-By"], passed["Atp-Group"]) == (asked.url, "g")
    assert "Cookie" not in passed


async def test_given_nobody_at_the_owners_address_when_asked_then_it_is_503() -> None:
    async with worker(Look(owner="http://127.0.0.1:1")) as asked:
        status, _, body = await asked.ask()
        assert (status, b'"OWNER_UNREACHABLE"' in body, b"loopback" in body) == (503, True, True)


async def test_given_a_position_to_come_when_it_comes_then_the_answer_has_waited_for_it(held: PartitionState) -> None:
    async with worker(Look(state=held)) as asked:
        looks = 0
        partition = asked.look.partition

        def counted(number: int) -> PartitionState:
            nonlocal looks
            looks += 1
            if looks == 3:  # it has begun to wait
                later = ItemState({"l-1": {"ECOM": Stock(16000, 2)}}, {}, {"ECOM": (16000, 0)}, 4)
                held.write({KEY: encode_item(later)}, 2)
                asked.queries.commits.observe(NOTHING)
            return partition(number)

        asked.look.partition = counted  # type: ignore[method-assign]
        status, headers, body = await asked.ask("availability?itemId=DRILL&channel=ECOM&minPosition=4")
        assert (status, headers["Atp-Position"], b"160.00" in body) == (200, "4", True)


async def test_given_a_position_that_does_not_come_then_it_is_503_and_a_move_meanwhile_ends_the_wait(
    held: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries_module, "MOST_WAIT_SECONDS", 0.05)
    async with worker(Look(state=held)) as asked:
        status, headers, body = await asked.ask("pools/DRILL?minPosition=4")
        assert (status, headers["Atp-Position"], b'"NOT_YET"' in body) == (503, "3", True)
        assert (await asked.ask("pools/none?minPosition=1"))[0] == 503  # it may come yet
    async with worker(Look(state=held, moves_after=2)) as asked:
        status, _, body = await asked.ask("pools/DRILL?minPosition=4")
        assert (status, b'"MOVING"' in body) == (503, True)


def test_given_hundredths_when_shown_then_they_have_two_places_whatever_their_size() -> None:
    shown = [str(quantity(each)) for each in (0, 5, -5, 100, 10**18 - 1, -(10**18) + 1, 10**20)]
    assert shown == [
        "0.00", "0.05", "-0.05", "1.00", "9999999999999999.99", "-9999999999999999.99", "1000000000000000000.00",
    ]  # fmt: skip
