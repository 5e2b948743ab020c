"""Choices drawn from bytes: the same bytes give the same choices, and a changed byte changes one of them."""

from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")

#: Texts at the edges of what an id, a channel or a reason may be, and some that break things elsewhere.
TEXTS: tuple[str, ...] = (
    "",
    " ",
    "a",
    "a/b",
    "a%2Fb",
    "%",
    "/",
    "é",
    "日本",
    "\U0001f4e6",
    "\x00",
    "encoding\x00",
    "\x7f",
    "\u2028",
    "\u202e",
    "\u200b",
    "x" * 256,
    "x" * 257,
    "é" * 128,
    "é" * 129,
    "y" * 1024,
    "y" * 1025,
    "\ufeff",
    "__proto__",
    "null",
)


class Take:
    """Reads from the front; once the bytes are used up, everything is zero and the first of its kind."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> bytes:
        """What has not been read yet."""
        return self._data[self._at :]

    def number(self, below: int) -> int:
        """A number from 0 to below `below`."""
        size = (max(below - 1, 1).bit_length() + 7) // 8
        return int.from_bytes(self.exactly(size), "big") % below

    def exactly(self, size: int) -> bytes:
        """As many bytes as asked for, zeros where there are no more."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found.ljust(size, b"\x00")

    def choose(self, options: Sequence[_T]) -> _T:
        """One of the options."""
        return options[self.number(len(options))]

    def some(self, most: int = 32) -> bytes:
        """Up to `most` bytes, as they are."""
        size = self.number(most + 1)
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def text(self) -> str:
        """A text of Unicode: one at an edge, or the bytes read as UTF-8."""
        if self.number(4) == 0:
            return self.choose(TEXTS)
        return self.some().decode(errors="replace")

    def name(self) -> str:
        """A short plain id."""
        return self.choose(("a", "b", "c", "item-1", "ECOM", "POS"))

    def __bool__(self) -> bool:
        return self._at < len(self._data)
