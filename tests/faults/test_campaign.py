"""A short campaign, as `make faults` runs long ones: whatever the seed draws, nothing is lost, nothing doubled."""

from pathlib import Path

import pytest

from .campaign import Campaign, Plan
from .catalogue import CATALOGUE

#: What takes a few seconds each; the long ones are for `make faults`.
_BRIEF = (
    "kill at a step",
    "kill at a step, state lost",
    "two owners killed",
    "zombie between offsets and commit",
    "zombie before its offsets",
    "heartbeat answered: unknown member",
    "answer to the commit lost",
    "commit held, its retry passes",
    "slow and broken connections",
    "a byte of an SST file flipped",
    "clock wrong",
    "registry down on a new schema id",
)


@pytest.mark.timeout(300)
def test_given_three_workers_when_faults_are_injected_from_a_seed_then_every_output_is_right_and_seen_once(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    report = Campaign(Plan(seed=20, faults=12, only=_BRIEF), tmp_path, said.append).run()
    assert report.is_clean, "\n".join([*said, *report.differences, *report.unsettled])
    assert report.injected >= 12
    assert report.counts["outputs"] > 1000


def test_given_the_catalogue_then_it_has_each_of_the_25_kinds() -> None:
    assert {fault.number for fault in CATALOGUE.values()} >= set(range(1, 26))
