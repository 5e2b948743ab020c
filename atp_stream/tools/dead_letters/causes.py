"""What an error code of a dead letter means, and what can be done about it, in words."""

from collections.abc import Mapping
from typing import Final

from atp_stream.contracts.errors import ErrorClass as E

_MEND: Final = "mend the value (show --value-to, replay --value-from)"
_RETRY: Final = "send it back as it is (replay)"
_PRODUCER: Final = "have whoever publishes it publish the event anew, or " + _MEND

_KNOWN: Final[Mapping[str, tuple[str, str]]] = {
    E.NULL_VALUE: ("the record had no value", _PRODUCER),
    E.NOT_AVRO: ("the bytes are not an Avro record of its schema, in Confluent's wire format", _PRODUCER),
    E.TOO_LARGE: ("far larger than any event", _PRODUCER),
    E.HEADER_NAME_NOT_UTF8: (
        "the name of a header is not UTF-8",
        "have whoever publishes it mend the header; or send it back as it is (replay), with the name as shown",
    ),
    E.TRAILING_BYTES: ("a whole event, and more bytes behind it", _PRODUCER),
    E.UNKNOWN_SCHEMA_ID: ("the schema registry did not know its schema id", f"register the schema, then {_RETRY}"),
    E.UNUSABLE_SCHEMA: (
        "what the registry had under its schema id is no usable Avro record",
        f"correct the schema in the registry, then {_RETRY}; or {_MEND}",
    ),
    E.INCOMPATIBLE_SCHEMA: ("its schema lacks fields of the event, or has them with other types", _PRODUCER),
    E.WRONG_EVENT_TYPE: (
        "an event that does not belong on this topic",
        f"correct topics.sources if it does, then {_RETRY}; else have it published where it belongs",
    ),
    E.NOT_JSON: ("the value is not a JSON object", _PRODUCER),
    E.MISSING_FIELD: ("a field is missing", _PRODUCER),
    E.WRONG_TYPE: ("a field has another type than documented", _PRODUCER),
    E.EMPTY_ID: ("an id or channel is empty", _PRODUCER),
    E.ID_TOO_LONG: ("an id or channel is too long", _PRODUCER),
    E.ID_NOT_READABLE: ("an id or channel holds a control character", _PRODUCER),
    E.TEXT_TOO_LONG: ("a text is too long", _PRODUCER),
    E.TEXT_NOT_UNICODE: ("a text is not Unicode", _PRODUCER),
    E.MALFORMED_QUANTITY: ("a quantity is not a number with at most two decimals", _PRODUCER),
    E.QUANTITY_NOT_POSITIVE: ("a reservation or release of nothing, or of less", _PRODUCER),
    E.QUANTITY_OUT_OF_RANGE: (
        "a quantity, or what its item has on hand in sum, is beyond 18 digits",
        f"if the item's stock was corrected meanwhile, {_RETRY}; else {_MEND}",
    ),
    E.MALFORMED_TIMESTAMP: ("a time is not ISO 8601", _PRODUCER),
    E.NEGATIVE_TIMESTAMP: ("a time is before 1970", _PRODUCER),
    E.TIMESTAMP_OUT_OF_RANGE: ("a time is after the year 9999: most likely not milliseconds", _PRODUCER),
    E.PRIORITY_OUT_OF_RANGE: ("a priority is not from 0 to 2147483647", _PRODUCER),
}


def meaning(code: str) -> str:
    """Return what the code means."""
    return _KNOWN.get(code, ("a cause that this version does not know", ""))[0]


def remedy(code: str) -> str:
    """Return what can be done."""
    return _KNOWN.get(code, ("", f"look at the message; {_MEND}"))[1]
