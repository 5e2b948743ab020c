"""Read, merge and check all settings before anything is connected. Precedence: flag, environment, file, default."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from atp_stream.errors import ConfigurationError, SettingsError
from atp_stream.settings import Settings
from atp_stream.settings.checks import cross_checks
from atp_stream.settings.names import SettingPath, child_type, name_of, path_of, printable
from atp_stream.settings.sources import Given, Origin, Sources

DEFAULT_FILE = Path("config/local.toml")
REDACTED = "******"


@dataclass(frozen=True, slots=True)
class Flag:
    """A setting given by an option of its own: name of the setting, value, the option as the user wrote it."""

    name: str
    value: Any
    option: str


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, the file they were read from (None: none) and what was given where."""

    settings: Settings
    file: Path | None
    given: Mapping[SettingPath, Given]

    def origin(self, name: str) -> Origin:
        """Return where the value of a setting comes from."""
        given = self.given.get(path_of(name))
        return given.origin if given else Origin("default", "default")

    def shown(self) -> Iterator[tuple[str, Any, Origin]]:
        """Yield name, value (secrets redacted) and origin of every setting."""
        for path, value in _leaves(self.settings, ()):
            name = name_of(path)
            if isinstance(value, SecretStr):
                value = REDACTED
            elif isinstance(value, tuple):
                value = list(value)
            elif not (value is None or isinstance(value, bool | int | float)):
                value = str(value)
            yield name, value, self.origin(name)


def load_settings(
    config: Path | None = None,
    assignments: Iterable[str] = (),
    flags: Iterable[Flag] = (),
    environment: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Load everything. SettingsError lists all that is wrong, each with its name, value, origin and fix.

    config: `--config`; without it ATP_CONFIG; without that config/local.toml, if it is there. assignments: `--set`.
    """
    environment = os.environ if environment is None else environment
    named = config or (Path(environment["ATP_CONFIG"]) if environment.get("ATP_CONFIG") else None)
    file = named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    sources = Sources()
    if file is not None:
        sources.add_file(file)
    sources.add_environment(environment)
    sources.add_assignments(assignments)
    for flag in flags:
        sources.add_flag(path_of(flag.name), flag.value, flag.option)
    settings, problems = _validated(sources)
    if problems:
        raise SettingsError(tuple(problems))
    return LoadedSettings(settings, file, sources.given)


def _validated(sources: Sources) -> tuple[Settings, list[ConfigurationError]]:
    """Check each value by itself; then, without the wrong ones, the values against each other: all in one go."""
    problems = list(sources.problems)
    given = dict(sources.given)
    wrong: set[SettingPath] = set()
    while True:
        try:
            settings = Settings(**_nested(given.values()))
            break
        except ValidationError as error:
            removed: set[SettingPath] = set()
            for detail in error.errors(include_url=False):
                path = tuple(str(part) for part in detail["loc"])
                if detail["type"] == "missing":
                    removed |= {other for other in given if other[: len(path) - 1] == path[:-1]}
                else:
                    path = _given_path(path, given)
                    removed.add(path)
                if path not in wrong:
                    wrong.add(path)
                    problems.append(_problem(path, detail, given))
            if not removed & set(given):
                raise
            given = {path: value for path, value in given.items() if path not in removed}
    for names, problem in cross_checks(settings):
        if not wrong & {path_of(name) for name in names}:
            problems.append(_with_origin(problem, sources.given))
    return settings, problems


def _nested(values: Iterable[Given]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for value in values:
        node = nested
        for key in value.path[:-1]:
            node = node.setdefault(key, {})
        node[value.path[-1]] = value.value
    return nested


def _given_path(location: SettingPath, given: Mapping[SettingPath, Given]) -> SettingPath:
    """Return the setting a validation error belongs to: its location also holds indexes of lists and the like."""
    for length in range(len(location), 0, -1):
        if location[:length] in given:
            return location[:length]
    # An error of a key that is data (a channel code, a topic name): the first setting given under it.
    for length in range(len(location) - 1, 0, -1):
        for path in given:
            if path[:length] == location[:length]:
                return path
    return location


def _problem(path: SettingPath, detail: Any, given: Mapping[SettingPath, Given]) -> ConfigurationError:
    name = name_of(path)
    if path not in given:
        return ConfigurationError(
            f"{name} is missing", cause="it has no default", setting=name, fix=f"add {path[-1]} beside the others there"
        )
    value = given[path]
    if detail["loc"][-1] == "[key]":
        shown = f"name {detail['loc'][-2]!r} is not allowed"
    elif _is_secret(path):
        shown = "value is not allowed"
    elif name == "registry.url" and isinstance(value.value, str) and "@" in value.value:
        shown = "has a user name or password in it, which is not allowed"
    else:
        shown = f"is {_display(value.value)}, which is not allowed"
    return ConfigurationError(
        f"{name} {shown}",
        cause=f"it must be {_allowed(detail)}",
        setting=f"{name} ({value.origin})",
        fix=f"correct {value.origin}",
    )


def _with_origin(problem: ConfigurationError, given: Mapping[SettingPath, Given]) -> ConfigurationError:
    path = path_of(problem.setting or "")
    found = next((value for key, value in given.items() if key[: len(path)] == path), None)
    if found is None:
        return problem
    return ConfigurationError(
        problem.message, cause=problem.cause, setting=f"{problem.setting} ({found.origin})", fix=problem.fix
    )


def _display(value: Any) -> str:
    try:
        if isinstance(value, list):
            value = ", ".join(str(item) for item in value)
        return printable(repr(value) if isinstance(value, str) else str(value))
    except (ValueError, RecursionError):
        return "too large to be shown"


def _is_secret(path: SettingPath) -> bool:
    node: Any = Settings
    for key in path:
        node = child_type(node, key)
    return "SecretStr" in str(node)


def _allowed(detail: Any) -> str:
    """Say what a setting may be, for pydantic's error of it."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return str(context["expected"])
        case "greater_than_equal":
            return f"{context['ge']} or more"
        case "greater_than":
            return f"more than {context['gt']}"
        case "less_than_equal":
            return f"{context['le']} or less"
        case "too_short":
            return f"a list of at least {context['min_length']}"
        case "tuple_type":
            return "a list"
        case "string_type" | "path_type":
            return "text, in quotes"
        case kind if kind.startswith("int_"):
            return "a whole number"
        case kind if kind.startswith("float_"):
            return "a number"
        case kind if kind.startswith("bool_"):
            return "true or false"
        case _:
            return str(detail["msg"])


def _leaves(node: Any, path: SettingPath) -> Iterator[tuple[SettingPath, Any]]:
    items = node.items() if isinstance(node, dict) else ((key, getattr(node, key)) for key in type(node).model_fields)
    for key, value in items:
        if isinstance(value, BaseModel | dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value
