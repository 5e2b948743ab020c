"""atp-stream doctor."""

import dataclasses
import sys

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.cli.output import print_json
from atp_stream.errors import AppError
from atp_stream.tools.terminal import console, is_fancy

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command()
@json_option
@global_options
@click.pass_obj
def doctor(state: State, as_json: bool) -> int:
    """Look for what would keep a worker from running, and say how to put it right.

    Exit code: 0 nothing (or warnings only), 69 something cannot be reached, 78 something has to be changed.
    """
    from atp_stream.admin.doctor import examine, exit_code, failed_settings
    from atp_stream.admin.doctor_finding import Finding

    findings: list[Finding] = []
    try:
        for finding in examine(state.load()):
            findings.append(finding)
            if not as_json:
                _show(finding.status, finding.check, finding.message, finding.fix)
    except AppError as error:
        findings = failed_settings(error)
        if not as_json:
            for finding in findings:
                _show(finding.status, finding.check, finding.message, finding.fix)
    code = exit_code(findings)
    if as_json:
        print_json({"exit_code": code, "findings": [dataclasses.asdict(finding) for finding in findings]})
    return code


def _show(status: str, check: str, message: str, fix: str | None) -> None:
    if is_fancy(sys.stdout):
        from rich.text import Text

        console(sys.stdout).print(Text.assemble((f"{status:4}", _STYLES[status]), f"  {check:11}  {message}"))
    else:
        print(f"{status:4}  {check:11}  {message}")
    if fix:
        print(f"{'':4}  {'':11}  fix: {fix}", flush=True)
