"""Quantities: exact, as integers of hundredths (contract: ``decimal(18,2)``, never a float)."""

import re
from typing import Final, TypeAlias

Quantity: TypeAlias = int
"""A quantity in hundredths: 12.50 is 1250."""

MAX: Final[Quantity] = 10**18 - 1
"""The greatest magnitude that ``decimal(18,2)`` holds, in hundredths: 9999999999999999.99."""

_TEXT: Final = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,40})(?:\.(?P<part>[0-9]{1,40}))?")


def parse_quantity(text: str) -> Quantity:
    """Read plain decimal notation ("12.5", "-3", "12.500") as hundredths, exactly.

    Raises ``ValueError`` when the text is no plain decimal number, has a digit other than 0 beyond the second
    decimal, or is outside ``decimal(18,2)``.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"not a plain decimal number: {text!r}")
    part = (match["part"] or "").rstrip("0")
    if len(part) > 2:
        raise ValueError(f"more than two decimals: {text!r}")
    magnitude = int(match["whole"]) * 100 + int(part.ljust(2, "0"))
    if magnitude > MAX:
        raise ValueError(f"outside decimal(18,2): {text!r}")
    return -magnitude if match["sign"] else magnitude


def format_quantity(quantity: Quantity) -> str:
    """Write hundredths as a decimal number with two decimals: 1250 is "12.50"."""
    whole, part = divmod(abs(quantity), 100)
    return f"{'-' if quantity < 0 else ''}{whole}.{part:02d}"
