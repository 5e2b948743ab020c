"""Finds integers of more than ten bytes, the most that Avro's longs have, in a record that fastavro has read.

It does not notice them: it shifts their bits by more than a long has, and what that gives depends on the processor. The
same record would be another number elsewhere, where a reader in Java refuses it.
"""

from collections.abc import Mapping
from typing import Any, Final

_MOST_BYTES: Final = 10
_SIZES: Final[Mapping[str, int]] = {"null": 0, "boolean": 1, "float": 4, "double": 8}
# Every byte of an integer but its last has the highest bit set. Text beyond ASCII may look like that too. Two calls of
# C look for it in each record, at a quarter of what a regular expression takes.
_HIGHEST_BITS: Final = bytes(byte >> 7 for byte in range(256))
_SUSPICIOUS: Final = b"\x01" * _MOST_BYTES

Named = Mapping[str, Any]


def named_types(parsed: Any) -> Named:
    """Return the types in a parsed schema that others of its parts may name."""
    found: dict[str, Any] = {}
    left = [parsed]
    while left:
        schema = left.pop()
        if isinstance(schema, list):
            left.extend(schema)
        elif isinstance(schema, dict):
            if "name" in schema and schema["type"] in ("record", "error", "fixed", "enum"):
                found[schema["name"]] = schema
            left.extend(schema[key] for key in ("type", "items", "values") if key in schema)
            left.extend(schema.get("fields", ()))
    return found


def has_too_long_integer(parsed: Any, named: Named, value: bytes, at: int) -> bool:
    """Tell whether the record from byte `at` on, which fastavro could read by the schema, has such an integer."""
    if _SUSPICIOUS not in value.translate(_HIGHEST_BITS):
        return False
    try:
        _Walk(value, at, named).over(parsed)
    except _TooLong:
        return True
    return False


class _TooLong(Exception):
    pass


class _Walk:
    """Passes over values, looking at their integers only."""

    def __init__(self, value: bytes, at: int, named: Named) -> None:
        self._value = value
        self._at = at
        self._named = named

    def over(self, schema: Any) -> None:
        """Pass over a value of the schema."""
        if isinstance(schema, list):
            return self.over(schema[self._integer()])
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, dict | list):
            return self.over(kind)
        match kind:
            case "null" | "boolean" | "float" | "double":
                self._at += _SIZES[kind]
            case "int" | "long" | "enum":
                self._integer()
            case "bytes" | "string":
                size = self._integer()
                self._at += size
            case "fixed":
                self._at += schema["size"]
            case "record" | "error":
                for field in schema["fields"]:
                    self.over(field["type"])
            case "array":
                self._blocks(schema["items"])
            case "map":
                self._blocks("string", schema["values"])
            case name:
                self.over(self._named[name])
        return None

    def _blocks(self, *parts: Any) -> None:
        while count := self._integer():
            if count < 0:
                self._integer()  # the block's size
            for _ in range(abs(count)):
                for part in parts:
                    self.over(part)

    def _integer(self) -> int:
        number = 0
        for place in range(_MOST_BYTES):
            byte = self._value[self._at]
            self._at += 1
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                number &= (1 << 64) - 1
                return (number >> 1) ^ -(number & 1)
        raise _TooLong
