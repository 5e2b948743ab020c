"""Target: settings files and environment variables."""

import atexit
import math
import re
import tempfile
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

from atp_stream.errors import AppError, SettingsError
from atp_stream.settings import Settings
from atp_stream.settings.load import LoadedSettings, load_settings
from atp_stream.settings.names import env_name, known_names, path_of
from atp_stream.settings.policy import to_policy

from .target import ACCEPTED, Target

SEPARATOR: Final = b"\x00"
"""Between the parts of an input: the file's text, then the variables NAME=VALUE. No variable can hold a zero byte."""
_ROOT: Final = Path(__file__).parents[2]
_directory: list[Path] = []

_KEYS: Final = (*known_names(), "policy.channels.ECOM.limit", "policy.channels.ECOM.protected",
    "policy.channels.ECOM.on_shortage", "topics.sources.x.event", "topics.sources.x.encoding",
    "topics.sources.x.keyed_by_item", 'policy.channels."\U0001f4e6".limit', 'policy.channels."a.b".limit',
    'policy.channels.""', 'topics.sources."a b".event', "policy", "kafka", "topics.sources", "policy.channels", "x.y",
    "kafka.bootstrap_servers.x", "web.port.a.b", "channels.x",
)  # fmt: skip
_TOML: Final = (
    "1", "0", "-1", "6066", "65536", "1e5", "1.5", "nan", "inf", "-inf", "true", "2026-01-01", "07:32:00", '""', '"x"',
    '"12.50"', '"0.001"', '"a:9092"', '["a:9092", "b:1"]', '["a:99999"]', "[]", "{}", "{ x = 1 }", "[1, [2]]",
    '"\u0663"',
    '"deny"', '"backorder"', '"avro"', '"INFO"', '"https://user:pw@h/"', '"http://h/x"', '"SASL_SSL"', '"PLAIN"',
    "12.50", "1e9999999999999999999", "9" * 30, "0x" + "f" * 4000, '"~nobody-of-this-name/x"', '"/dev/null"',
    '"\\u0000"', "9" * 5000,
    '["ECOM", "POS"]', '["ECOM", "ECOM"]', '["\U0001f4e6"]', '"ReservationCreatedEvent"', "[" * 3000 + "]" * 3000,
    '{ ECOM = { limit = 5 } }', '"""\nlong\n"""', "'a'", '"x" # y', "1_000", "+5", '"\x1b[31m"', '"' + "z" * 300 + '"',
)  # fmt: skip
_TEXT: Final = (
    "", "1", "0", "x", "a:9092,b:9092", "[", "{}", '["a:1"]', "[1]", '{"ECOM": {"limit": 5}}', '{"x": {"event": "y"}}',
    "true", "12.50", "1e5", "nan", "inf", "\udcff", "\u0663", "-1", "99999999999999999999", "9" * 5000, "[" * 100_000,
    '{"a":' * 5000, "~nobody-of-this-name/x", "/dev/null", "~", '{"ECOM": {"limit": 1e99999999999999999999}}',
    "[1e99999999999999999999]", '{"\\ud800": {"limit": 5}}', '{"\U0001f4e6": {"limit": 5}}', "a,,b", "https://h",
    "http://u:p@h", "SASL_SSL", "debug",
    "0x10", "1_0", "x\ny", "\x1b[31m", '{"ECOM": 5}', "null", '"x"', '{"ECOM": {"limit": "' + "9" * 5000 + '"}}',
    '{"x": {"event": "ReservationCreatedEvent", "keyed_by_item": 7}}', '["\\ud800"]', '{"": {"limit": 1}}',
)  # fmt: skip


def _parts(data: bytes) -> tuple[bytes, dict[str, str]]:
    file, *variables = data.split(SEPARATOR)
    environment = {}
    for variable in variables[:20]:
        name, _, value = variable.decode(errors="surrogateescape").partition("=")
        environment[name] = value
    return file, {name: value for name, value in environment.items() if name and name != "ATP_CONFIG"}


def _path() -> Path:
    if not _directory:
        made = tempfile.TemporaryDirectory(prefix="atp-fuzz-")
        atexit.register(made.cleanup)
        _directory.append(Path(made.name))
    return _directory[0] / "settings.toml"


def run(data: bytes) -> str:
    """Settings load as they were given, or an error names everything that is wrong."""
    file, environment = _parts(data)
    path = _path()
    path.write_bytes(file)
    try:
        loaded = load_settings(path, environment=environment)
    except AppError as error:
        problems = error.problems if isinstance(error, SettingsError) else (error,)
        assert problems
        for problem in problems:
            for text in (problem.message, problem.cause, problem.fix, problem.setting or ""):
                assert text is not None
                text.encode()  # can be shown
                assert not re.search("\x1b|\x00", text), f"not fit for a terminal: {text!a}"
                assert len(text) < 3000, "longer than anyone reads"
            assert problem.message
            assert problem.cause
        return type(error).__name__
    _check(loaded)
    return ACCEPTED


def _check(loaded: LoadedSettings) -> None:
    settings = loaded.settings
    for name, value, _ in loaded.shown():
        str(value).encode()
        assert not isinstance(value, float) or math.isfinite(value), f"{name} is {value}"
    for given in loaded.given.values():
        _check_exact(settings, given.path, given.value)
    policy = to_policy(settings)
    most = Decimal(policy.safety_stock).scaleb(-2)
    assert most == settings.policy.safety_stock
    for code, rules in settings.policy.channels.items():
        assert code in settings.channels
        assert Decimal(policy.by_channel[code].protected).scaleb(-2) == rules.protected
    assert 6 <= settings.worker.session_timeout_seconds <= 300
    assert 0 <= settings.web.port <= 65535


def _check_exact(settings: Settings, path: tuple[str, ...], given: Any) -> None:
    """What was given as a number is set to that number and no other."""
    node: Any = settings
    for key in path:
        node = node[key] if isinstance(node, dict) else getattr(node, key)
    if isinstance(node, bool) or not isinstance(node, int | float | Decimal):
        return
    assert Decimal(str(node)) == Decimal(str(given).strip()), f"{path} is {node}, given as {given!a}"


def mutate(data: bytes, random: Random) -> bytes:
    """Add, change or drop a setting, in the file or in the environment."""
    file, *variables = data.split(SEPARATOR)
    lines = file.split(b"\n")
    draw = random.random()
    if draw < 0.45:
        line = f"{random.choice(_KEYS)} = {random.choice(_TOML)}".encode()
        lines.insert(0, line) if random.random() < 0.7 else lines.append(line)
    elif draw < 0.55:
        del lines[random.randrange(len(lines))]
    elif draw < 0.85:
        try:
            name = env_name(path_of(random.choice(_KEYS)))
        except ValueError:
            name = "ATP_X"
        name = (
            name
            if random.random() < 0.9
            else random.choice(("ATP_", "ATP___", "ATP_X__Y__Z", f"{name}__", name.lower()))
        )
        variables.append(f"{name}={random.choice(_TEXT)}".encode(errors="surrogateescape"))
    elif draw < 0.92:
        variables = variables[1:]
    else:
        at = random.randrange(len(lines))
        changed = bytearray(lines[at])
        place = random.randrange(len(changed) + 1)
        changed[place : place + random.randrange(3)] = bytes(
            random.randrange(1, 256) for _ in range(random.randrange(3))
        )
        lines[at] = bytes(changed)
    return SEPARATOR.join((b"\n".join(lines[-40:]), *variables[-8:]))


def seeds() -> list[bytes]:
    """The settings that come with the project, and short ones."""
    files = [path.read_bytes() for path in sorted((_ROOT / "config").glob("*.toml"))]
    return [*files, b"", b"[web]\nport = 7000\n", b"\x00ATP_WEB__PORT=7000\x00ATP_CHANNELS=ECOM,POS"]


SETTINGS: Final = Target("settings", 3, seeds, run, mutate)
