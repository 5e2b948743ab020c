"""Bad input: an event that breaks the contract, and why (design section 5). Goes to the dead letters."""

from enum import StrEnum
from typing import Final

MAX_MESSAGE: Final = 500
"""Longest message in characters: it travels in a header of the dead letter."""


class ErrorClass(StrEnum):
    """Why an input was refused. Codes are stable: dashboards and tools that redeliver count on them."""

    NULL_VALUE = "NULL_VALUE"
    """The record has no value."""
    NOT_AVRO = "NOT_AVRO"
    """No Confluent wire format, or bytes that the writer's schema cannot read."""
    TOO_LARGE = "TOO_LARGE"
    """Far larger than any event, so that it could not be forwarded whole."""
    HEADER_NAME_NOT_UTF8 = "HEADER_NAME_NOT_UTF8"
    """A header whose name is not UTF-8, as Kafka's protocol has it."""
    TRAILING_BYTES = "TRAILING_BYTES"
    """A complete record, and more behind it."""
    UNKNOWN_SCHEMA_ID = "UNKNOWN_SCHEMA_ID"
    """The registry was asked and does not know the id."""
    UNUSABLE_SCHEMA = "UNUSABLE_SCHEMA"
    """What the registry holds under the id is no Avro record, too large, too deep, or recursive."""
    INCOMPATIBLE_SCHEMA = "INCOMPATIBLE_SCHEMA"
    """The right record, but fields are missing or have other types, another scale or another unit."""
    WRONG_EVENT_TYPE = "WRONG_EVENT_TYPE"
    """An event that does not belong on this topic."""
    NOT_JSON = "NOT_JSON"
    """No JSON object in UTF-8, or a key twice in one."""
    MISSING_FIELD = "MISSING_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    """A JSON field of another type than documented."""
    EMPTY_ID = "EMPTY_ID"
    """An id or channel code without a character other than space."""
    ID_TOO_LONG = "ID_TOO_LONG"
    ID_NOT_READABLE = "ID_NOT_READABLE"
    """An id or channel code with a control character, or one that turns the reading direction."""
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    TEXT_NOT_UNICODE = "TEXT_NOT_UNICODE"
    """Half of a surrogate pair, as JSON can escape it."""
    MALFORMED_QUANTITY = "MALFORMED_QUANTITY"
    """Not a number, or one with a digit beyond hundredths."""
    QUANTITY_NOT_POSITIVE = "QUANTITY_NOT_POSITIVE"
    QUANTITY_OUT_OF_RANGE = "QUANTITY_OUT_OF_RANGE"
    """Outside ``decimal(18,2)``."""
    MALFORMED_TIMESTAMP = "MALFORMED_TIMESTAMP"
    NEGATIVE_TIMESTAMP = "NEGATIVE_TIMESTAMP"
    TIMESTAMP_OUT_OF_RANGE = "TIMESTAMP_OUT_OF_RANGE"
    """After the year 9999: most likely not milliseconds."""
    PRIORITY_OUT_OF_RANGE = "PRIORITY_OUT_OF_RANGE"


class BadInput(Exception):
    """An input that breaks the contract. Its bytes go to the dead letters with ``error_class`` and ``message``."""

    def __init__(self, error_class: ErrorClass, message: str) -> None:
        super().__init__(message)
        self.error_class: Final = error_class
        self.message: Final = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."

    def __str__(self) -> str:
        return f"{self.error_class}: {self.message}"


class SchemaNotResolved(LookupError):
    """The schema id has not been asked for yet: resolve it and decode again. Says nothing about the record."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema id {schema_id} has not been resolved")
        self.schema_id: Final = schema_id


class StateFormatError(Exception):
    """Stored state that this version cannot read: written by another version, or damaged. Never guess around it."""


def quoted(value: object) -> str:
    """Show a value in a message: printable characters only, and at most 60 of them."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def printable(text: str) -> str:
    """Return a text from outside as it can be shown to a person: one line, at most ``MAX_MESSAGE`` characters."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:MAX_MESSAGE])
    return shown if len(shown) <= MAX_MESSAGE and len(text) <= MAX_MESSAGE else shown[: MAX_MESSAGE - 3] + "..."


class RegistryError(Exception):
    """The schema registry did not do what was asked."""


class RegistryUnreachable(RegistryError):
    """It cannot be reached, fails, or does not answer as a schema registry does: worth another try. Never bad input."""


class RegistryUntrusted(RegistryUnreachable):
    """Its certificate cannot be trusted: by the wrong authority, for another host, or not valid now.

    Someone has to change what is trusted, or the certificate; worth another try only where it was trusted before.
    """


class RegistryRefused(RegistryError):
    """It refuses access: credentials or permissions have to be changed."""


class IncompatibleSchema(RegistryError):
    """It does not take a schema for a subject, by the subject's rule of compatibility."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject}: {reason}")
        self.subject: Final = subject
        self.reason: Final = reason
