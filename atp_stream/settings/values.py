"""What a single setting may be: names, addresses, files and exact numbers. A refusal says what is needed."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

_HOST_PORT = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$")
_TOPIC = re.compile(r"^[A-Za-z0-9._-]{1,249}$")
_IDENTIFIER = re.compile(r"^[A-Za-z0-9._-]{1,100}$")
_QUANTITY = re.compile(r"^\d{1,16}(\.\d{1,2})?$")
_URL = re.compile(r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(/\S*)?$")
_HOST = re.compile(r"^[A-Za-z0-9.:-]{1,253}$")


def _host_port(value: str) -> str:
    match = _HOST_PORT.match(value)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError("one or more HOST:PORT, separated by commas")
    return value


def _topic(value: str) -> str:
    if not _TOPIC.match(value) or value in (".", ".."):
        raise ValueError("a Kafka topic name: 1 to 249 letters, digits, '.', '_' or '-'")
    return value


def _identifier(value: str) -> str:
    if not _IDENTIFIER.match(value):
        raise ValueError("1 to 100 letters, digits, '.', '_' or '-'")
    return value


def _code(value: str) -> str:
    if not value.isprintable() or not 1 <= len(value) <= 64 or value != value.strip():
        raise ValueError("1 to 64 printable characters without spaces around them")
    return value


def _file(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError("the path of a file (nobody's home directory has this name)") from None


def _readable_file(value: Path) -> Path:
    path = _file(value)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"a file that exists and can be read ({(error.strerror or str(error)).lower()})") from None


def _url(value: str) -> str:
    try:
        fits = _URL.match(value) is not None and "@" not in value and urlsplit(value).port != 0
    except ValueError:  # a port or an IPv6 address that is none
        fits = False
    if not fits:
        raise ValueError("http://HOST[:PORT][/PATH] or https://..., without user name and password in it")
    return value.rstrip("/")


def _exact(value: Any) -> Any:
    """Refuse what has been a float on its way here: 0.1 is not exact there."""
    if isinstance(value, bool | float) or not _QUANTITY.match(str(value)):
        raise ValueError("an exact number, 0 or more, with at most 2 decimal places, such as 25 or 12.50")
    return Decimal(str(value))


def _host(value: str) -> str:
    if not _HOST.match(value):
        raise ValueError("an address or a host name of this machine, such as 127.0.0.1, :: or worker-1.example.com")
    return value


def _origin(value: str) -> str:
    value = _url(value)
    if value.count("/") != 2 or "?" in value or "#" in value:
        raise ValueError("http://HOST[:PORT] or https://HOST[:PORT], without a path")
    return value


def lower(value: Any) -> Any:
    """Return text in small letters, and anything else as it is."""
    return value.lower() if isinstance(value, str) else value


def upper(value: Any) -> Any:
    """Return text in capitals, and anything else as it is."""
    return value.upper() if isinstance(value, str) else value


HostPort = Annotated[str, AfterValidator(_host_port)]
TopicName = Annotated[str, AfterValidator(_topic)]
Identifier = Annotated[str, AfterValidator(_identifier)]
ChannelCode = Annotated[str, AfterValidator(_code)]
FilePath = Annotated[Path, AfterValidator(_file)]
ReadableFile = Annotated[Path, AfterValidator(_readable_file)]
Url = Annotated[str, AfterValidator(_url)]
ExactQuantity = Annotated[Decimal, BeforeValidator(_exact)]
HostName = Annotated[str, AfterValidator(_host)]
Origin = Annotated[str, AfterValidator(_origin)]
