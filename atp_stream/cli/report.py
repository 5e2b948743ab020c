"""How errors are shown: message, cause, setting and fix on stderr; with --json as one document."""

import json
import sys
import traceback
from typing import Any

from atp_stream.cli.common import State
from atp_stream.errors import AppError, SettingsError, SoftwareError


def report(error: AppError, state: State) -> int:
    """Show an error on stderr and return its exit code."""
    if state.debug:
        traceback.print_exception(error)
    text = json.dumps({"error": as_document(error)}) if state.as_json else as_text(error)
    print(text, file=sys.stderr)
    return error.exit_code


def report_bug(error: Exception, state: State) -> int:
    """Show an error that nobody foresaw."""
    found = SoftwareError(
        "something went wrong that should not have",
        cause=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        fix="run it again with --debug, and report what that shows",
    )
    found.__cause__ = error
    return report(found, state)


def as_text(error: AppError) -> str:
    """Return the lines error, cause, setting and fix; of several wrong settings one block each."""
    if isinstance(error, SettingsError):
        return "\n\n".join(as_text(problem) for problem in error.problems)
    lines = {"error": error.message, "cause": error.cause, "setting": error.setting, "fix": error.fix}
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def as_document(error: AppError) -> dict[str, Any]:
    """Return an error as JSON: kind, exit_code, message, cause, setting, fix; `problems`: wrong settings likewise."""
    document: dict[str, Any] = {
        "kind": error.kind,
        "exit_code": error.exit_code,
        "message": error.message,
        "cause": error.cause,
        "setting": error.setting,
        "fix": error.fix,
    }
    if isinstance(error, SettingsError):
        document["problems"] = [as_document(problem) for problem in error.problems]
    return document
