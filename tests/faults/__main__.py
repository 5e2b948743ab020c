"""`python -m tests.faults`: run campaigns of faults, and prove that they would notice a missing guard."""

import sys
import tempfile
import time
from pathlib import Path

import click

from .campaign import Campaign, Plan
from .catalogue import CATALOGUE
from .mutations import MUTATIONS

_DIRECTORY = click.option(
    "--directory", type=click.Path(path_type=Path), help="Where the report and the logs go; default: a temporary one."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Inject faults into real workers, brokers and disks, and compare everything with an independent oracle."""


@main.command("list")
def show() -> None:
    """Print the faults and the guards that can be taken out."""
    for fault in sorted(CATALOGUE.values(), key=lambda each: each.number):
        needs = f" ({fault.brokers} brokers)" if fault.brokers > 1 else ""
        click.echo(f"{fault.number:3d}  {fault.name}{needs}")
    for name, mutation in MUTATIONS.items():
        click.echo(f"guard  {name}: {mutation.guard}")


@main.command()
@click.option("--seed", type=int, help="What is drawn follows from it; default: from the clock, and printed.")
@click.option("--faults", type=click.IntRange(1), default=50, show_default=True, help="How many to inject.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True)
@click.option("--only", multiple=True, metavar="FAULT", help="Only these faults (see `list`); may be repeated.")
@click.option("--without", multiple=True, metavar="GUARD", help="Take guards out of the workers (see `list`).")
@click.option("--calm", is_flag=True, help="Let each fault be over before the next: for measuring silences.")
@click.option("--minutes", type=float, help="Stop earlier, after so many minutes.")
@_DIRECTORY
def run(
    seed: int | None,
    faults: int,
    brokers: str,
    only: tuple[str, ...],
    without: tuple[str, ...],
    calm: bool,
    minutes: float | None,
    directory: Path | None,
) -> None:
    """Run one campaign. Exits with 1 if anything is not as it has to be."""
    for name in (name for name in only if name not in CATALOGUE):
        raise click.BadParameter(f"no fault {name!r}; see `list`", param_hint="--only")
    for name in (name for name in without if name not in MUTATIONS):
        raise click.BadParameter(f"no guard {name!r}; see `list`", param_hint="--without")
    plan = Plan(
        seed=int(time.time()) if seed is None else seed,
        faults=faults,
        brokers=int(brokers),
        only=only,
        mutations=without,
        calm=calm,
        seconds=float("inf") if minutes is None else minutes * 60,
    )
    place = _place(directory)
    report = Campaign(plan, place, click.echo).run()
    click.echo(f"{report.verdict()}\nreport: {place / 'report.md'}")
    for each in [*report.differences, *report.unsettled][:20]:
        click.echo(each)
    sys.exit(0 if report.is_clean else 1)


@main.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--faults", type=click.IntRange(1), default=40, show_default=True, help="The most for each guard.")
@click.option("--guard", multiple=True, help="Only these guards (see `list`); may be repeated.")
@_DIRECTORY
def mutations(seed: int, faults: int, guard: tuple[str, ...], directory: Path | None) -> None:
    """Take each guard out in turn. Exits with 1 if a campaign does not notice the lack of one."""
    place, survivors, lines = _place(directory), [], []
    for name in guard or MUTATIONS:
        mutation = MUTATIONS[name]
        plan = Plan(seed, faults, only=mutation.faults, mutations=[name], round=5, stop_at_difference=True)
        report = Campaign(plan, place / name.replace(" ", "-"), click.echo).run()
        # A worker that ends as by a bug, or work that comes to no rest, shows something broken, but not the promise.
        found = [each for each in report.differences if " ended with 70" not in each][:1]
        said = found[0].splitlines()[0][:160] if found else "**nothing**"
        lines.append(f"| {name} | {report.injected} | {len(report.differences)} | {said} |")
        click.echo(lines[-1])
        if not found:
            survivors.append(name)
    table = ["| guard taken out | faults | differences | the first of them |", "|---|---|---|---|", *lines]
    (place / "mutations.md").write_text("\n".join(table) + "\n")
    click.echo("\n".join(table))
    sys.exit(1 if survivors else 0)


def _place(directory: Path | None) -> Path:
    place = directory or Path(tempfile.mkdtemp(prefix="faults-"))
    place.mkdir(parents=True, exist_ok=True)
    return place


if __name__ == "__main__":
    main()
