"""Two Avro records compared, in words."""

import json
from typing import Any


def differences(ours: dict[str, Any], registered: str) -> tuple[str, ...]:
    """Return one line per difference between our schema and the text of a registered one; empty: none."""
    try:
        theirs = json.loads(registered)
    except ValueError:
        theirs = None
    if not isinstance(theirs, dict) or not isinstance(theirs.get("fields"), list):
        return ("registered is not an Avro record",)
    if ours == theirs:
        return ()
    lines = [
        f"{key}: ours is {_shown(ours.get(key))}, registered is {_shown(theirs.get(key))}"
        for key in sorted((ours.keys() | theirs.keys()) - {"fields"})
        if ours.get(key) != theirs.get(key)
    ]
    our_fields = {field["name"]: field for field in ours["fields"]}
    their_fields = {field.get("name"): field for field in theirs["fields"] if isinstance(field, dict)}
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
    return json.dumps(value)
