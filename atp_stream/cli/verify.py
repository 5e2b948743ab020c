"""atp-stream verify."""

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atp_stream.cli.common import State, global_options, json_option
from atp_stream.cli.output import print_json
from atp_stream.errors import UsageError
from atp_stream.tools.terminal import console, is_fancy

if TYPE_CHECKING:
    from atp_stream.tools.verify.report import Report


@click.command()
@click.option("--item", metavar="TENANT/ITEM", help="Only this item ('/' in an id is %2F, '%' is %25).")
@click.option("--tenant", metavar="TENANT", help="Only the items of this tenant.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Most differences that are shown; of one item at most a tenth of them.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long an open transaction, or a broker, is waited for.",
)
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="PATH",
    help="Where the temporary files lie.  [default: where the system has them]",
)
@click.option("--no-progress", is_flag=True, help="Say nothing on the way.")
@json_option
@global_options
@click.pass_obj
def verify(
    state: State,
    item: str | None,
    tenant: str | None,
    limit: int,
    wait: float,
    work_dir: Path | None,
    no_progress: bool,
    as_json: bool,
) -> int:
    """Check that a live cluster is right: nothing lost, nothing twice, no wrong number.

    Reads the changes log, the state's changelog, the outputs and the dead letters, and holds them against each other
    and against the group's offsets, item by item. Workers may run meanwhile; nothing is written to the cluster.
    What is checked, what cannot be and why: docs/operations.md.

    Exit code: 0 all that could be checked is equal, 65 something differs, 69 the cluster or the registry cannot be
    reached or a transaction stays open, 75 no room for temporary files, 77 refused, 78 a setting is wrong.
    """
    prefix = _prefix(item, tenant)
    settings = state.settings_of_cluster()
    from atp_stream.observability import set_up_logging
    from atp_stream.tools.verify.run import Scope, verify
    from atp_stream.tools.verify.shown import shown

    set_up_logging("warning", "text")
    scope = Scope(prefix, item is not None, limit, work_dir, wait)
    with shown(sys.stderr, silent=no_progress) as progress:
        report = verify(settings, scope, progress)
    if as_json:
        print_json({"exit_code": report.exit_code, **dataclasses.asdict(report)})
    else:
        _show(report)
    return report.exit_code


def _prefix(item: str | None, tenant: str | None) -> bytes:
    from atp_stream.contracts.keys import item_key, split_item_key

    if item is not None and tenant is not None:
        raise UsageError("both --item and --tenant", cause="an item names its tenant", fix="give one of them")
    if tenant is not None:
        return item_key(tenant, "")
    if item is None:
        return b""
    try:
        split_item_key(item.encode())
    except ValueError as error:
        raise UsageError(
            "--item is no item", cause=str(error), fix="give it as TENANT/ITEM, with '/' as %2F and '%' as %25"
        ) from None
    return item.encode()


def _show(report: "Report") -> None:
    from atp_stream.tools.received import printable

    of_item = itertools.groupby(sorted(report.differences, key=lambda each: each.item), key=lambda each: each.item)
    for item, differences in of_item:
        _print((printable(item) if item != "-" else "(no single item)", "bold"))
        for each in differences:
            _print((f"  {printable(each.what)}", "red"))
            for name, text in (("expected", each.expected), ("found", each.found), ("where", each.where)):
                if text:
                    print(f"    {name:8}  {printable(text)}")
    if report.total > len(report.differences):
        print(f"and {report.total - len(report.differences):,} more (see --limit, --item)")
    if report.total:
        print()
    for check in report.checks:
        status, style = ("made", "green") if check.made else ("not possible", "yellow")
        _print((f"{status:12}", style), (f"  {check.name}", ""))
        if check.note:
            print(f"{'':14}{printable(check.note)}")
    print()
    for topic, count in report.read.items():
        print(f"{count:12,}  {topic}")
    statuses = ", ".join(f"{count:,} {status}" for status, count in report.reservations.items())
    print(f"items: {report.items:,}; reservations: {sum(report.reservations.values()):,} ({statuses or 'none'})")
    for note in report.notes:
        print(f"note: {note}")
    read, left = sum(report.read.values()), sum(not check.made for check in report.checks)
    _print(
        (
            f"differences: {report.total:,}" if report.total else "differences: none",
            "bold red" if report.total else "bold",
        ),
        (f"; checks not possible: {left}" if left else "", "yellow"),
        (f"; {read:,} records in {report.seconds:.1f} s ({read / max(report.seconds, 0.001):,.0f}/s)", ""),
    )


def _print(*parts: tuple[str, str]) -> None:
    """Print a line; each part has a style, which only a terminal gets."""
    if is_fancy(sys.stdout):
        from rich.text import Text

        console(sys.stdout).print(Text.assemble(*parts), soft_wrap=True)
    else:
        print("".join(text for text, _ in parts))
