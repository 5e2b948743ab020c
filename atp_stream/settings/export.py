"""Settings handed on to another process of this program, as environment variables: no secret on a command line."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from atp_stream.settings import Settings
from atp_stream.settings.names import ENV_PREFIX, SettingPath, env_name
from atp_stream.settings.sources import NOT_SETTINGS

_FILE: Final = "ATP_CONFIG"


def environment_of(settings: Settings, empty_file: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which the program has exactly these settings, whatever files and variables there are.

    What has its default is not named: it stays a default. `empty_file`: a settings file with nothing in it, to be read
    in place of any other. `base`: the environment to change; without it that of this process.
    """
    environment = {
        name: value
        for name, value in (os.environ if base is None else base).items()
        if not name.startswith(ENV_PREFIX) or name in NOT_SETTINGS
    }
    environment[_FILE] = str(empty_file.absolute())
    environment.update((env_name(path), text) for path, text in _changed(settings, Settings(), ()))
    return environment


def _changed(group: BaseModel, default: BaseModel, path: SettingPath) -> Iterator[tuple[SettingPath, str]]:
    for key in type(group).model_fields:
        value, usual = getattr(group, key), getattr(default, key)
        if isinstance(value, BaseModel):
            yield from _changed(value, usual, (*path, key))
        elif value != usual:
            yield (*path, key), _text(value)


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, Mapping):
        models = {key: item.model_dump(mode="json", exclude_none=True) for key, item in value.items()}
        return json.dumps(models)
    if isinstance(value, tuple):
        return json.dumps(value)
    return str(value)
