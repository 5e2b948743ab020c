"""How requests are read: every parameter by the one table, and what is wrong with it said by name."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec import UNSET
from yarl import URL

from atp_stream.web.cursor import from_cursor, to_cursor
from atp_stream.web.errors import ApiError
from atp_stream.web.parameters import AvailabilityAsked, ItemsAsked, NothingAsked, PoolsAsked, parse
from atp_stream.web.rows import AttentionPosition, KeyPosition


def request(query: Any = "", **path: str) -> Any:
    return make_mocked_request("GET", str(URL("/x").with_query(query)), match_info=path)


def refusal(asked: Any, wanted: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        parse(asked, wanted)
    assert refused.value.status == 400
    return refused.value


def test_given_what_is_asked_when_read_then_types_and_defaults_are_those_of_the_table() -> None:
    asked = parse(request({"itemId": "null", "channel": "1", "minPosition": "7"}), AvailabilityAsked)
    assert (asked.item_id, asked.channel, asked.min_position, asked.promise_date) == ("null", "1", 7, UNSET)
    items = parse(request(), ItemsAsked)
    assert (items.limit, items.order, items.low, items.partial, items.cursor) == (100, "key", "10.00", False, UNSET)
    assert parse(request({"partial": "true", "limit": "1000"}), ItemsAsked).partial
    assert parse(request(itemId="a/b"), PoolsAsked).item_id == "a/b"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"channel": "c"}, "itemId"),
        ({"itemId": "", "channel": "c"}, "itemId"),
        ({"itemId": "i" * 257, "channel": "c"}, "itemId"),
        ({"itemId": "i", "channel": "c", "promiseDate": "2026-02-30"}, "promiseDate"),
        ({"itemId": "i", "channel": "c", "promiseDate": "null"}, "promiseDate"),
        ({"itemId": "i", "channel": "c", "minPosition": "-1"}, "minPosition"),
        ({"itemId": "i", "channel": "c", "minPosition": str(2**63)}, "minPosition"),
        ([("itemId", "i"), ("channel", "c"), ("channel", "d")], "channel"),
    ],
)
def test_given_a_bad_parameter_when_read_then_it_is_refused_by_its_name(query: Any, name: str) -> None:
    refused = refusal(request(query), AvailabilityAsked)
    assert (refused.code, refused.details["parameter"]) == ("BAD_PARAMETER", name)
    assert refused.message.startswith(f"{name}: ")


@pytest.mark.parametrize("low", ["1e3", "-1", "NaN", "1.001", "", "Infinity", "1" * 17])
def test_given_a_threshold_that_is_no_plain_quantity_when_read_then_it_is_refused(low: str) -> None:
    assert refusal(request({"low": low}), ItemsAsked).details["parameter"] == "low"


def test_given_an_unknown_parameter_when_read_then_the_nearest_known_is_named() -> None:
    assert refusal(request({"itemid": "x"}), AvailabilityAsked).details["nearest"] == "itemId"
    assert refusal(request({"itemId": "x"}, itemId="y"), PoolsAsked).details["nearest"] == "tenantId"
    nothing = refusal(request({"x": "<script>\n"}), NothingAsked)
    assert (nothing.details["nearest"], "\n" in nothing.message) == (None, False)


@pytest.mark.parametrize(
    ("position", "order"),
    [(KeyPosition(b"t/a%2F\xc3\xbc", "ECOM"), "key"), (AttentionPosition(2, -500, b"t/a", "c"), "attention")],
)
def test_given_a_place_when_it_goes_out_as_a_cursor_then_it_comes_back(position: Any, order: str) -> None:
    assert from_cursor(to_cursor(position), order) == position


@pytest.mark.parametrize("cursor", ["", "A", "AAAA", "a b", "é", to_cursor(KeyPosition(b"t/a", "c")) + "A"])
@pytest.mark.parametrize("order", ["key", "attention"])
def test_given_a_made_up_cursor_when_read_then_it_is_refused(cursor: str, order: str) -> None:
    with pytest.raises(ApiError):
        from_cursor(cursor, order)


def test_given_a_cursor_of_one_order_when_used_in_another_then_it_is_refused() -> None:
    with pytest.raises(ApiError):
        from_cursor(to_cursor(KeyPosition(b"t/a", "c")), "attention")
