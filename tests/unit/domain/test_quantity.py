"""Quantities are exact hundredths within ``decimal(18,2)``."""

import pytest

from atp_stream.domain.quantity import MAX, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "hundredths"),
    [
        ("12.50", 1250),
        ("12.5", 1250),
        ("12", 1200),
        ("0.07", 7),
        ("-0.07", -7),
        ("-3", -300),
        ("007.1000", 710),
        ("-0", 0),
        ("9999999999999999.99", MAX),
        ("-9999999999999999.99", -MAX),
    ],
)
def test_plain_decimal_notation_is_read_exactly(text: str, hundredths: int) -> None:
    assert parse_quantity(text) == hundredths


@pytest.mark.parametrize(
    "text", ["", "12.", ".5", "1e3", "+1", " 1", "1 ", "1,5", "NaN", "Infinity", "--1", "1_0", "\u0661"]
)
def test_other_notation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a plain decimal number"):
        parse_quantity(text)


def test_a_third_decimal_is_refused_and_never_rounded() -> None:
    with pytest.raises(ValueError, match="more than two decimals"):
        parse_quantity("0.005")


@pytest.mark.parametrize("text", ["10000000000000000", "-10000000000000000.00", "9" * 40])
def test_what_decimal_18_2_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="outside decimal"):
        parse_quantity(text)


@pytest.mark.parametrize("hundredths", [0, 7, -7, 100, 1250, -1250, MAX, -MAX])
def test_what_is_written_reads_back(hundredths: int) -> None:
    assert parse_quantity(format_quantity(hundredths)) == hundredths


def test_quantities_are_written_with_two_decimals() -> None:
    assert [format_quantity(q) for q in (1250, -7, 0)] == ["12.50", "-0.07", "0.00"]
