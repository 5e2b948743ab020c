"""What a check of the doctor finds."""

from dataclasses import dataclass
from typing import Literal

from atp_stream.errors import AppError


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. exit_code: of a failure, by kind (errors.py); 0 otherwise."""

    check: str
    status: Literal["ok", "warn", "fail"]
    message: str
    fix: str | None = None
    exit_code: int = 0


def failed(check: str, error: AppError) -> Finding:
    """Return an error as a finding."""
    return Finding(check, "fail", f"{error.message}: {error.cause}", error.fix, error.exit_code)
