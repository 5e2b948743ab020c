"""The file of bearer tokens: for each a name, a tenant, a role and the SHA-256 of the token; never the token itself.

    [tokens.board]
    tenant = "*"                    # one tenant, or "*" for all
    role = "read"                   # read, allocate or admin; each may what the ones before it may
    sha256 = "64 hex digits"
    expires = 2027-01-01T00:00:00Z  # may be left out

A token has 256 random bits, so that a plain hash of it cannot be searched backwards.
"""

import hashlib
import os
import re
import secrets
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import tomlkit
from filelock import FileLock
from tomlkit.items import Table

from atp_stream.errors import ConfigurationError, UsageError
from atp_stream.settings.names import lines_of_keys
from atp_stream.web.auth import Principal, Role

_SETTING: Final = "web.tokens_file"
_PREFIX: Final = "atp_"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_KEYS: Final = ("tenant", "role", "sha256", "expires")
_MOST_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One token as the file has it. expires: the moment from which on it is refused; None: never."""

    principal: Principal
    sha256: str
    expires: datetime | None


class _Wrong(Exception):
    """What is wrong in a file, at the line of this key."""

    def __init__(self, path: tuple[str, ...], cause: str) -> None:
        super().__init__(cause)
        self.path = path


def digest(token: str) -> str:
    """Return what the file has of a token."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def read_tokens(path: Path) -> dict[str, Entry]:
    """Return the tokens of a file by name. ConfigurationError: it cannot be read or is wrong, with line and cause."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise _error(path, f"it has more than {_MOST_BYTES} bytes")
        text = raw.decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise _error(path, (error.strerror or str(error)).lower()) from None
    except UnicodeDecodeError:
        raise _error(path, "it is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        where = re.search(r"at line (\d+)", str(error))
        raise _error(path, "it is not valid TOML", int(where[1]) if where else None) from None
    try:
        return _entries(document)
    except _Wrong as wrong:
        lines = dict(lines_of_keys(text))
        found = [lines[wrong.path[:length]] for length in range(len(wrong.path), 0, -1) if wrong.path[:length] in lines]
        raise _error(path, str(wrong), found[0] if found else None) from None


def _entries(document: Mapping[str, Any]) -> dict[str, Entry]:
    for key in document:
        if key != "tokens":
            raise _Wrong((key,), "only tables [tokens.NAME] belong here")
    tokens = document.get("tokens", {})
    if not isinstance(tokens, dict):
        raise _Wrong(("tokens",), "only tables [tokens.NAME] belong here")
    entries = {name: _entry(name, table) for name, table in tokens.items()}
    seen: dict[str, str] = {}
    for name, entry in entries.items():
        if entry.sha256 in seen:
            raise _Wrong(("tokens", name, "sha256"), f"it is the same token as {seen[entry.sha256]}")
        seen[entry.sha256] = name
    return entries


def _entry(name: str, table: Any) -> Entry:
    here = ("tokens", name)
    if not _NAME.fullmatch(name):
        raise _Wrong(here, "a name is 1 to 100 letters, digits, '.', '_' or '-'")
    if not isinstance(table, dict):
        raise _Wrong(here, "a token is a table [tokens.NAME]")
    for key in table:
        if key not in _KEYS:
            raise _Wrong((*here, key), f"a token has {', '.join(_KEYS)}, and nothing else")
    tenant, role, hashed, expires = (table.get(key) for key in _KEYS)
    if not isinstance(tenant, str) or not tenant or not tenant.isprintable():
        raise _Wrong((*here, "tenant"), 'tenant must be the id of one, or "*" for all')
    if not isinstance(role, str) or role not in _ROLES:
        raise _Wrong((*here, "role"), f"role must be one of {', '.join(_ROLES)}")
    if not isinstance(hashed, str) or not _HASH.fullmatch(hashed):
        raise _Wrong((*here, "sha256"), "sha256 must be the 64 hex digits of the token's hash")
    if expires is not None:
        expires = _moment(expires, (*here, "expires"))
    return Entry(Principal(name, None if tenant == "*" else tenant, _ROLES[role]), hashed, expires)


_ROLES: Final = {role.name.lower(): role for role in Role}


def _moment(value: Any, place: tuple[str, ...]) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise _Wrong(place, "expires must be a date or a moment, such as 2027-01-01T00:00:00Z")


def _error(path: Path, cause: str, line: int | None = None) -> ConfigurationError:
    return ConfigurationError(
        f"the tokens file {path} cannot be used",
        cause=cause if line is None else f"line {line}: {cause}",
        setting=_SETTING,
        fix=f"correct {path}, or make it anew with `atp-stream tokens create`",
    )


def create_token(path: Path, name: str, tenant: str, role: str, expires: datetime | None) -> str:
    """Add a token to the file, which is made if it is not there, and return it: it is known nowhere else.

    UsageError: a part is not allowed, or there is one of this name. ConfigurationError: the file cannot be used.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    table: dict[str, Any] = {"tenant": tenant, "role": role, "sha256": digest(token)}
    if expires is not None:
        table["expires"] = expires
    try:
        _entry(name, table)
    except _Wrong as wrong:
        raise UsageError(
            f"no token {name!r} was made", cause=str(wrong), fix="see `atp-stream tokens create --help`"
        ) from None
    with _lock(path):
        if path.exists() and name in read_tokens(path):
            raise UsageError(
                f"there is a token {name} already",
                cause=f"{path} has one of this name",
                fix=f"choose another name, or run `atp-stream tokens revoke {name}` first",
            )
        document = _document(path)
        tokens = document.setdefault("tokens", tomlkit.table(is_super_table=True))
        added = tomlkit.table()
        for key, value in table.items():
            added.add(key, value)
        tokens[name] = added
        _replace(path, tomlkit.dumps(document))
    return token


def revoke_token(path: Path, name: str) -> None:
    """Take a token out of the file. UsageError: there is none of this name."""
    with _lock(path):
        if name not in read_tokens(path):
            raise UsageError(
                f"there is no token {name}", cause=f"{path} has none of this name", fix="see `atp-stream tokens list`"
            )
        document = _document(path)
        tokens = document["tokens"]
        assert isinstance(tokens, Table | dict)
        del tokens[name]
        _replace(path, tomlkit.dumps(document))


def _document(path: Path) -> tomlkit.TOMLDocument:
    """Return the file as it is written, so that comments in it are kept."""
    return tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()


def _lock(path: Path) -> FileLock:
    if not path.parent.is_dir():
        raise _error(path, f"there is no directory {path.parent}")
    return FileLock(path.with_name(path.name + ".lock"), timeout=10)


def _replace(path: Path, text: str) -> None:
    """Write the file so that a reader sees the old or the new one, and only its owner may read it."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise _error(path, (error.strerror or str(error)).lower()) from None
