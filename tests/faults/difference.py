"""What the checker finds, and how it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass

_MOST_SHOWN = 20


class Unsettled(AssertionError):
    """It did not become quiet within the bound: a failure of liveness, which says nothing of what was decided."""


@dataclass(frozen=True)
class Difference:
    """Something that is not as the inputs say it must be."""

    kind: str
    where: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}\n    expected: {self.expected}\n    found:    {self.found}"


def report(differences: Sequence[Difference]) -> str:
    """All that fits in view, the number of the rest, and how many there are of each kind."""
    kinds = sorted({each.kind for each in differences})
    counts = ", ".join(f"{sum(each.kind == kind for each in differences)} x {kind}" for kind in kinds)
    lines = [f"{len(differences)} differences: {counts}" if differences else "no difference"]
    lines += [str(each) for each in differences[:_MOST_SHOWN]]
    if len(differences) > _MOST_SHOWN:
        lines.append(f"... and {len(differences) - _MOST_SHOWN} more")
    return "\n".join(lines)
