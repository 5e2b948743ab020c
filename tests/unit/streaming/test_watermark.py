"""Watermark records, and what they find out."""

import pytest

from atp_stream.streaming.errors import StateMismatch
from atp_stream.streaming.watermark import check_watermark, decode_watermark, encode_watermark

ORIGIN = {"changes": 0, "stock": 40}


def test_given_offsets_when_encoded_then_they_are_readable_in_one_order_whatever_theirs_was() -> None:
    assert encode_watermark({"b": 2, "a": 1}) == b'{"a":1,"b":2}' == encode_watermark({"a": 1, "b": 2})


def test_given_a_watermark_record_when_decoded_then_it_says_what_was_encoded() -> None:
    assert decode_watermark(encode_watermark({"changes": 12, "stock": 0})) == {"changes": 12, "stock": 0}


def test_given_no_watermark_record_when_decoded_then_it_says_nothing() -> None:
    assert decode_watermark(None) == {}


@pytest.mark.parametrize(
    ("watermark", "committed"),
    [
        pytest.param({}, {"changes": 0, "stock": 40}, id="nothing was committed since the origin"),
        pytest.param({"changes": 7}, {"changes": 7, "stock": 40}, id="one topic is untouched"),
        pytest.param({"changes": 7, "stock": 41}, {"changes": 7, "stock": 41}, id="both were committed"),
        pytest.param({"changes": 7, "gone": 3}, {"changes": 7, "stock": 40}, id="a former source"),
    ],
)
def test_given_offsets_that_agree_then_the_check_is_silent(
    watermark: dict[str, int], committed: dict[str, int]
) -> None:
    check_watermark(3, watermark, ORIGIN, committed)


@pytest.mark.parametrize(
    ("watermark", "committed", "expected"),
    [
        pytest.param({"changes": 7}, {"changes": 6, "stock": 40}, "changes[3]: the changelog says 7, the group 6"),
        pytest.param({"changes": 7}, {"changes": 8, "stock": 40}, "changes[3]: the changelog says 7, the group 8"),
        pytest.param({}, {"changes": 1, "stock": 40}, "changes[3]: the changelog says 0, the group 1"),
        pytest.param({}, {"changes": 0, "stock": 39}, "stock[3]: the changelog says 40, the group 39"),
        pytest.param({}, {"stock": 40}, "changes[3]: the changelog says 0, the group None"),
        pytest.param(
            {"changes": 7, "stock": 50},
            {"changes": 0, "stock": 40},
            "changes[3]: the changelog says 7, the group 0; stock[3]: the changelog says 50, the group 40",
        ),
    ],
)
def test_given_offsets_that_differ_then_each_is_named(
    watermark: dict[str, int], committed: dict[str, int], expected: str
) -> None:
    with pytest.raises(StateMismatch) as caught:
        check_watermark(3, watermark, ORIGIN, committed)
    assert caught.value.cause == expected
    assert caught.value.fix
