"""Names of settings: as paths, as TOML keys, as environment variables; and the types that settings and groups have."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from atp_stream.settings import Settings

ENV_PREFIX = "ATP_"
SettingPath = tuple[str, ...]
_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
# Parts with dots between them, and nothing repeated within a repetition: that would try every way to cut a long part.
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")


def name_of(path: SettingPath) -> str:
    """Return the full name of a setting, as a TOML key: parts with a dot in them are quoted."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else _quoted(part) for part in path)


def _quoted(part: str) -> str:
    """Write a TOML string that can be shown. Not as in JSON, whose two escapes for one character TOML refuses."""
    return '"' + "".join(each if each.isprintable() and each not in '"\\' else _escaped(each) for each in part) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, most: int = 200) -> str:
    """Return a text fit for a message: what cannot be shown is escaped, and no more than `most` characters."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def path_of(name: str) -> SettingPath:
    """Return the path that a TOML key names. ValueError: it is not a key."""
    node: Any = tomllib.loads(f"{name} = 0")
    path: list[str] = []
    while isinstance(node, dict):
        if len(node) != 1:
            raise ValueError(name)
        key, node = next(iter(node.items()))
        path.append(key)
    return tuple(path)


def child_type(node: Any, key: str) -> Any | None:
    """Return the type of `key` inside a group (a model, or a dictionary of models); None: there is no such key."""
    if get_origin(node) is dict:
        return get_args(node)[1]
    field = node.model_fields.get(key)
    return None if field is None else field.annotation


def is_group(node: Any) -> bool:
    """Tell whether a type holds further settings, rather than a value."""
    return get_origin(node) is dict or (isinstance(node, type) and issubclass(node, BaseModel))


def known_names(node: Any = Settings, path: SettingPath = ()) -> Iterator[str]:
    """Yield the full name of every setting that has a fixed one."""
    for key, field in node.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from known_names(annotation, (*path, key))
        else:
            yield name_of((*path, key))


def env_name(path: SettingPath) -> str:
    """Return the environment variable of a setting."""
    return ENV_PREFIX + "__".join(part.upper() for part in path)


def path_of_variable(parts: SettingPath) -> SettingPath:
    """Return the path an environment variable names: field names ignore case, names that are data keep it."""
    node: Any = Settings
    path: list[str] = []
    for part in parts:
        data = get_origin(node) is dict
        path.append(part if data else part.lower())
        node = child_type(node, path[-1]) if is_group(node) else None
    return tuple(path)


def lines_of_keys(text: str) -> Iterator[tuple[SettingPath, int]]:
    """Yield the line of each key of a TOML text; a value over several lines may yield keys that are none."""
    table: SettingPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"^\s*\[([^\[\]]+)\]\s*(#.*)?$", line)
        key = _KEY.match(line)
        try:
            if header:
                table = path_of(header[1].strip())
                yield table, number
            elif key:
                yield (*table, *path_of(key[1])), number
        except ValueError:
            continue
