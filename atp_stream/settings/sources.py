"""Where settings come from: a TOML file, the environment, the command line. Each value keeps its origin.

Every source is turned into the same thing: a value, exact (numbers of a file are decimals, not floats), for the full
path of a setting, and where it was given. What names no setting is a problem, with the nearest names that do.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from atp_stream.errors import ConfigurationError, PermissionDeniedError, UsageError
from atp_stream.settings import Settings
from atp_stream.settings.names import (
    ENV_PREFIX,
    SettingPath,
    child_type,
    env_name,
    is_group,
    known_names,
    lines_of_keys,
    name_of,
    path_of,
    path_of_variable,
    printable,
)

# Variables of the program that are not settings: where the settings and the downloaded software are.
NOT_SETTINGS = frozenset({"ATP_CONFIG", "ATP_CACHE_DIR", "ATP_LOCAL_DIR"})
# Kubernetes puts such variables into every container when a service is called "atp" or "atp-...". A setting has "__".
_SERVICE_LINK = re.compile(
    r"^ATP_(?!.*__)([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_\d+_(TCP|UDP)(_[A-Z]+)?)?)$"
)
# What parsers of TOML and JSON raise: their own errors (and numbers of too many digits), exponents beyond a decimal,
# nesting beyond the stack.
_UNREADABLE = (ValueError, ArithmeticError, RecursionError)


def _exact(text: str) -> Decimal:
    """Read a number exactly. Not one of more than 400 digits: to make an integer of it could take for ever."""
    number = Decimal(text)
    if number.is_finite() and number.adjusted() > 400:
        raise OverflowError(text)
    return number


def _why(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return "a number in it is too large" if isinstance(error, ArithmeticError) else printable(str(error))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: kind, and the place as a person would look for it."""

    kind: Literal["flag", "environment", "file", "default"]
    where: str

    def __str__(self) -> str:
        where = printable(self.where)
        return f"{where} in the environment" if self.kind == "environment" else where


@dataclass(frozen=True, slots=True)
class Given:
    """One value that was given for one setting."""

    path: SettingPath
    value: Any
    origin: Origin


def unknown(path: SettingPath, origin: Origin) -> ConfigurationError:
    """Describe a key that is no setting, with the nearest ones that are."""
    name = name_of(path)
    # A variable may also hold a whole group as JSON: then it is a key in there that is wrong, not the variable.
    environment = origin.kind == "environment" and env_name(path).upper() == origin.where.upper()
    names = {env_name(path_of(known)) if environment else known for known in known_names()}
    # Keys inside policy.channels.CODE and topics.sources.NAME have no fixed full name: offer the keys of that group.
    group: Any = Settings
    for part in path[:-1]:
        group = child_type(group, part) if is_group(group) else None
    if is_group(group) and get_origin(group) is not dict:
        paths = [(*path[:-1], key) for key in group.model_fields]
        names |= {env_name(known) if environment else name_of(known) for known in paths}
    given = printable(origin.where if environment else name)
    near = difflib.get_close_matches(given, sorted(names), n=3, cutoff=0.75)
    nearest = " or ".join(map(printable, near))
    return ConfigurationError(
        f"unknown setting {given}",
        cause=f"no setting has this name ({origin})",
        setting=given,
        fix=f"did you mean {nearest}?" if near else "see `atp-stream config show` for all settings",
    )


class Sources:
    """Collects what is given, in rising precedence: file, environment, flags. Later values win."""

    def __init__(self) -> None:
        self.given: dict[SettingPath, Given] = {}
        self.problems: list[ConfigurationError] = []

    def add_file(self, path: Path) -> None:
        """Read a TOML file. ConfigurationError: it is missing or not TOML; PermissionDeniedError: it cannot be read."""
        fix = "correct the path given by --config or ATP_CONFIG"
        try:
            text = path.read_text(encoding="utf-8")
            document = tomllib.loads(text, parse_float=_exact)
        except FileNotFoundError:
            raise ConfigurationError(f"no settings file {path}", cause="there is no such file", fix=fix) from None
        except PermissionError:
            raise PermissionDeniedError(
                f"settings file {path} cannot be read", cause="permission denied", fix=f"allow this user to read {path}"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"settings file {path} cannot be read", cause=str(error), fix=fix) from None
        except UnicodeDecodeError:
            raise ConfigurationError(
                f"settings file {path} cannot be read", cause="it is not UTF-8 text", fix=f"save {path} as UTF-8"
            ) from None
        except _UNREADABLE as error:
            raise ConfigurationError(
                f"settings file {path} is not valid TOML", cause=_why(error), fix=f"correct {path} there"
            ) from None
        lines = dict(lines_of_keys(text))
        self._add_group(
            Settings,
            (),
            document,
            lambda key: Origin("file", f"{path}:{lines[key]}" if key in lines else str(path)),
        )

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Read the variables ATP_SECTION__KEY. Lists: comma separated or JSON; groups: JSON; empty: none."""
        for variable, text in sorted(environment.items()):
            if not variable.startswith(ENV_PREFIX) or variable in NOT_SETTINGS or _SERVICE_LINK.match(variable):
                continue
            parts = tuple(variable.removeprefix(ENV_PREFIX).split("__"))
            self._add_text(path_of_variable(parts), text, Origin("environment", variable))

    def add_flag(self, path: SettingPath, value: Any, flag: str) -> None:
        """Take a value from the command line, as text (`--set`) or already of its type."""
        origin = Origin("flag", flag)
        if isinstance(value, str):
            self._add_text(path, value, origin)
        else:
            self.given[path] = Given(path, value, origin)

    def add_assignments(self, assignments: Iterable[str]) -> None:
        """Take `--set NAME=VALUE` options. UsageError: one is not of that form."""
        for assignment in assignments:
            name, equals, value = assignment.partition("=")
            try:
                path = path_of(name)
            except ValueError:
                equals = ""
            if not equals:
                raise UsageError(
                    f"--set {name} is not NAME=VALUE",
                    cause="the name of a setting, an equals sign and its value are needed",
                    fix="write for example --set worker.log_level=debug",
                )
            self.add_flag(path, value, f"--set {name}")

    def _add_text(self, path: SettingPath, text: str, origin: Origin) -> None:
        node: Any = Settings
        for key in path:
            node = child_type(node, key) if is_group(node) else None
            if node is None:
                self.problems.append(unknown(path, origin))
                return
        if is_group(node) or (get_origin(node) is tuple and text.lstrip().startswith("[")):
            try:
                value = json.loads(text, parse_float=_exact)
            except _UNREADABLE as error:
                self.problems.append(
                    ConfigurationError(
                        f"{name_of(path)} is not valid JSON",
                        cause=f"{_why(error)} ({origin})",
                        setting=name_of(path),
                        fix=f"correct {origin}",
                    )
                )
                return
        elif get_origin(node) is tuple:
            value = [part.strip() for part in text.split(",") if part.strip()]
        else:
            value = None if text == "" and type(None) in get_args(node) else text
        if is_group(node):
            self._add_group(node, path, value, lambda _: origin)
        else:
            self._give(path, value, origin)

    def _give(self, path: SettingPath, value: Any, origin: Origin) -> None:
        # Bytes of the environment that are not UTF-8, and half a surrogate pair as JSON can escape it.
        if isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
            name = name_of(path)
            self.problems.append(
                ConfigurationError(
                    f"{name} is not text in UTF-8", cause=f"as given ({origin})", setting=name, fix=f"correct {origin}"
                )
            )
        else:
            self.given[path] = Given(path, value, origin)

    def _add_group(self, node: Any, path: SettingPath, value: Any, origin_of: Any) -> None:
        if not isinstance(value, dict):
            self.problems.append(
                ConfigurationError(
                    f"{name_of(path)} is a group of settings",
                    cause=f"a single value was given ({origin_of(path)})",
                    setting=name_of(path),
                    fix="give a value to one of the settings in it",
                )
            )
            return
        for key, item in value.items():
            child = (*path, key)
            annotation = child_type(node, key)
            if annotation is None:
                self.problems.append(unknown(child, origin_of(child)))
            elif is_group(annotation):
                self._add_group(annotation, child, item, origin_of)
            else:
                self._give(child, item, origin_of(child))
