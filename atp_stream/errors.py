"""Errors that end a command: what happened, why, which setting it depends on, and how to put it right.

The exit codes are those of BSD's sysexits.h, one per kind, so that a supervisor can tell "try again later" from
"someone has to change the configuration". Refusals of the business (a denied reservation) are events, not errors.
"""

from typing import ClassVar

EXIT_OK = 0


class AppError(Exception):
    """An error that a person can act on.

    message: what happened, one line. cause: why, as far as it is known. setting: full name of the setting it depends on
    ("kafka.bootstrap_servers"). fix: the one thing to do next.
    """

    exit_code: ClassVar[int] = 70
    kind: ClassVar[str] = "software"

    def __init__(self, message: str, *, cause: str, setting: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.setting = setting
        self.fix = fix


class UsageError(AppError):
    """The command was called wrongly (exit 64)."""

    exit_code = 64
    kind = "usage"


class DataError(AppError):
    """What was found is not what it has to be: topics or schemas that differ from the catalogue (exit 65)."""

    exit_code = 65
    kind = "data"


class UnavailableError(AppError):
    """Something that is needed cannot be reached or is not installed: broker, registry, an extra (exit 69)."""

    exit_code = 69
    kind = "unavailable"


class SoftwareError(AppError):
    """A bug of ours: the worker stops with nothing committed rather than guess (exit 70)."""

    exit_code = 70
    kind = "software"


class TemporaryError(AppError):
    """It may work later without anything being changed: a lock is held, a port is taken (exit 75)."""

    exit_code = 75
    kind = "temporary"


class PermissionDeniedError(AppError):
    """Refused for want of a permission: Kafka ACL, credentials, file mode (exit 77)."""

    exit_code = 77
    kind = "permission"


class ConfigurationError(AppError):
    """A setting is wrong; the same start fails again until it is changed (exit 78)."""

    exit_code = 78
    kind = "configuration"


class SettingsError(ConfigurationError):
    """Several settings are wrong: all of them, so that one look at the message is enough."""

    def __init__(self, problems: tuple[ConfigurationError, ...]) -> None:
        count = len(problems)
        super().__init__(
            "1 setting is wrong" if count == 1 else f"{count} settings are wrong", cause="; ".join(map(str, problems))
        )
        self.problems = problems
