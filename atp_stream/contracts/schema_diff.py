"""Two Avro records compared, in words."""

import json
from typing import Any, Final

_NO_RECORD: Final = ("registered is not an Avro record",)
_LONGEST: Final = 300
"""Most characters of a value that are shown: the registry may hold anything."""


def differences(ours: dict[str, Any], registered: str) -> tuple[str, ...]:
    """Return one line per difference between our schema and the text of a registered one; empty: none."""
    try:
        theirs = json.loads(registered)
        their_fields = {field["name"]: field for field in theirs["fields"]}
    except (ValueError, LookupError, TypeError, RecursionError):
        return _NO_RECORD
    if not all(isinstance(name, str) and name.isascii() and name.isprintable() for name in their_fields):
        return _NO_RECORD
    if ours == theirs:
        return ()
    lines = [
        f"{_shown(key)[1:-1]}: ours is {_shown(ours.get(key))}, registered is {_shown(theirs.get(key))}"
        for key in sorted((ours.keys() | theirs.keys()) - {"fields"})
        if ours.get(key) != theirs.get(key)
    ]
    our_fields = {field["name"]: field for field in ours["fields"]}
    for name, field in our_fields.items():
        if name not in their_fields:
            lines.append(f"field {name}: not in the registered schema")
        elif field != their_fields[name]:
            lines.append(f"field {name}: ours is {_shown(field)}, registered is {_shown(their_fields[name])}")
    lines += [f"field {name}: only in the registered schema" for name in their_fields if name not in our_fields]
    common = [name for name in our_fields if name in their_fields]
    if common != [name for name in their_fields if name in our_fields]:
        lines.append(f"order of fields: ours is {', '.join(common)}")
    return tuple(lines)


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
