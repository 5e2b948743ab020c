"""JSON and Avro schemas as rows of a table, for the pages of the documents."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_WORDS: Final = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minLength": "length at least",
    "maxLength": "length at most",
    "minItems": "entries at least",
    "maxItems": "entries at most",
    "pattern": "pattern",
    "multipleOf": "a multiple of",
    "default": "default",
}

Schema = Mapping[str, Any] | bool


@dataclass(frozen=True, slots=True)
class Row:
    """One field. name: with those it lies in before it, as in `payload.itemId`; refers: the schemas its type names."""

    name: str
    type: str
    required: bool
    about: str
    refers: tuple[str, ...] = ()


def rows(schema: Schema, prefix: str = "") -> Iterator[Row]:
    """Yield a row for each field of an object, and for those of objects within it that have no name of their own."""
    if isinstance(schema, bool):
        return
    for part in schema.get("allOf", ()):
        yield from rows(part, prefix)
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        about = "" if isinstance(inner, bool) else about_of(inner)
        yield Row(prefix + name, type_of(inner), name in required, about, tuple(refers(inner)))
        yield from rows(inner, f"{prefix}{name}.")
        if isinstance(inner, Mapping) and isinstance(inner.get("items"), Mapping):
            yield from rows(inner["items"], f"{prefix}{name}[].")


def avro_rows(schema: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row for each field of an Avro record."""
    for field in schema["fields"]:
        about = f"default {_literal(field['default'])}" if "default" in field else ""
        if "logicalType" in field:
            about = "epoch milliseconds" if field["logicalType"] == "timestamp-millis" else field["logicalType"]
        yield Row(field["name"], _avro_type(field["type"]), "default" not in field, about)


def type_of(schema: Schema) -> str:
    """Return the type of a JSON Schema in a few words; a schema that has a name is called by it."""
    if isinstance(schema, bool):
        return "anything" if schema else "nothing"
    if "$ref" in schema:
        return name_of(schema["$ref"])
    if "const" in schema:
        return _literal(schema["const"])
    if "enum" in schema:
        return " | ".join(_literal(each) for each in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(type_of(each) for each in schema[key]))
    found = schema.get("type", "object" if "properties" in schema else "anything")
    kinds = [found] if isinstance(found, str) else list(found)
    return " | ".join(_kind(kind, schema) for kind in kinds)


def refers(schema: Schema) -> Iterator[str]:
    """Yield the names of the schemas that the type of a field refers to."""
    if isinstance(schema, bool):
        return
    if "$ref" in schema:
        yield name_of(schema["$ref"])
    for key in ("anyOf", "oneOf"):
        for each in schema.get(key, ()):
            yield from refers(each)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from refers(schema[key])


def name_of(reference: str) -> str:
    """Return the name of what a reference within the document leads to."""
    return reference.rsplit("/", 1)[-1]


def about_of(schema: Mapping[str, Any]) -> str:
    """Return what is said of a field, with its limits and examples."""
    limits = [f"{words} {_literal(schema[key])}" for key, words in _WORDS.items() if key in schema]
    examples = schema.get("examples", [schema["example"]] if "example" in schema else [])
    if examples:
        limits.append("such as " + ", ".join(_literal(each) for each in examples))
    return " ".join(filter(None, (schema.get("description", ""), f"({'; '.join(limits)})" if limits else "")))


def _kind(kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "array" and "items" in schema:
        return f"list of {type_of(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object, each value {type_of(schema['additionalProperties'])}"
    return f"{kind} ({schema['format']})" if kind == "string" and "format" in schema else kind


def _avro_type(avro: Any) -> str:
    if isinstance(avro, list):
        return " | ".join(_avro_type(each) for each in avro)
    if isinstance(avro, Mapping):
        if avro.get("logicalType") == "decimal":
            return f"decimal({avro['precision']},{avro['scale']})"
        return str(avro["type"])
    return str(avro)


def _literal(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
