"""Programs that the tests run and that no package registry has: packages of the operating system."""

import shutil

import pytest

#: Program -> the names it may have, and the Debian package that brings it.
_PROGRAMS = {
    "chromium": (("chromium", "chromium-browser"), "chromium"),
    "promtool": (("promtool",), "prometheus"),
}


def chromium() -> str:
    """Return the path of the browser; fail the test with the package to install where there is none."""
    return _path("chromium")


def promtool() -> str:
    """Return the path of Prometheus's checker of metrics and rules; fail the test likewise."""
    return _path("promtool")


def _path(program: str) -> str:
    names, package = _PROGRAMS[program]
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.fail(
        f"this test runs {program}, which is not installed; on Debian: apt-get install {package} (as root)",
        pytrace=False,
    )
