"""Avro by the letter of its specification, in plain Python: what the bytes of a frame mean, and frames of any content.

Takes schemas as written, without names for types (no schema of these tests refers to one). Strings stay bytes until
they are looked at, so that frames with broken ones can be made as well.

Three things that the specification forbids are read as fastavro reads them, which does not notice: the number of a
branch or symbol below 0 counts from the end, of an integer of ten bytes the lower 64 bits count (in Java too), and any
byte but 0 is a true. None of them makes a valid frame mean something else.
"""

import struct
from typing import Any


class NotAvro(Exception):
    """The bytes are no record of the schema."""


class Reader:
    """Reads values from the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise NotAvro(f"{size} bytes at {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def long(self) -> int:
        number = 0
        for place in range(10):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                number &= 2**64 - 1
                return (number >> 1) ^ -(number & 1)
        raise NotAvro("an integer of more than 10 bytes")

    def value(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return self.value(schema[self._place(len(schema))])
        kind = schema["type"] if isinstance(schema, dict) else schema
        match kind:
            case "null":
                return None
            case "boolean":
                return self.take(1) != b"\x00"
            case "int" | "long":
                return self.long()
            case "float":
                return struct.unpack("<f", self.take(4))[0]
            case "double":
                return struct.unpack("<d", self.take(8))[0]
            case "bytes" | "string":
                found = self.take(self.long())
                return found if kind == "bytes" else _text(found)
            case "fixed":
                return self.take(schema["size"])
            case "enum":
                return schema["symbols"][self._place(len(schema["symbols"]))]
            case "record":
                return {field["name"]: self.value(field["type"]) for field in schema["fields"]}
            case "array":
                return [self.value(schema["items"]) for _ in self._blocks()]
            case "map":
                return {_text(self.take(self.long())): self.value(schema["values"]) for _ in self._blocks()}
        raise AssertionError(f"no type of these tests: {kind}")

    def _place(self, length: int) -> int:
        place = self.long()
        if not -length <= place < length:
            raise NotAvro(f"branch {place}")
        return place

    def _blocks(self) -> Any:
        while count := self.long():
            if count < 0:
                self.long()  # the block's size in bytes, for those who skip it
                count = -count
            yield from range(count)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NotAvro("not UTF-8") from error


def read(schema: Any, data: bytes) -> tuple[Any, int]:
    """Return the value and how many bytes it takes. Raises `NotAvro`."""
    reader = Reader(data)
    return reader.value(schema), reader.at


def long(number: int) -> bytes:
    """The bytes of an int or long."""
    number = (number << 1) ^ (number >> 63)
    written = bytearray()
    while number > 0x7F or number < 0:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def write(schema: Any, value: Any) -> bytes:
    """The bytes of a value; of a union, the first branch that can hold it."""
    if isinstance(schema, list):
        for place, branch in enumerate(schema):
            if (branch == "null") == (value is None):
                return long(place) + write(branch, value)
        raise AssertionError(f"{value!r} is none of {schema}")
    kind = schema["type"] if isinstance(schema, dict) else schema
    match kind:
        case "null":
            return b""
        case "boolean":
            return b"\x01" if value else b"\x00"
        case "int" | "long":
            return long(value)
        case "float":
            return struct.pack("<f", value)
        case "double":
            return struct.pack("<d", value)
        case "bytes" | "string":
            raw = value.encode() if isinstance(value, str) else value
            return long(len(raw)) + bytes(raw)
        case "fixed":
            return bytes(value)
        case "enum":
            return long(schema["symbols"].index(value))
        case "record":
            return b"".join(write(field["type"], value[field["name"]]) for field in schema["fields"])
        case "array":
            items = b"".join(write(schema["items"], item) for item in value)
            return (long(len(value)) + items if value else b"") + b"\x00"
        case "map":
            pairs = b"".join(write("string", name) + write(schema["values"], item) for name, item in value.items())
            return (long(len(value)) + pairs if value else b"") + b"\x00"
    raise AssertionError(f"no type of these tests: {kind}")
