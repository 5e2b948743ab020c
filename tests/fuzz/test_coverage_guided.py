"""A short run of the fuzzer, what it says, and that it does find a bug."""

import subprocess
import sys
from pathlib import Path

import pytest

from .__main__ import SHARES
from .campaign import run_target
from .targets import TARGETS

_ROOT = Path(__file__).parents[2]
#: Of each target: 20,000 in all.
INPUTS = {name: share * 200 for name, share in SHARES.items()}


def test_given_the_shares_of_the_targets_then_they_are_those_of_a_whole_run() -> None:
    assert {name: target.share for name, target in TARGETS.items()} == SHARES
    assert sum(SHARES.values()) == 100


@pytest.mark.parametrize("name", SHARES)
def test_given_a_way_in_when_fuzzed_then_nothing_is_found_and_all_of_it_is_accounted_for(
    name: str, tmp_path: Path
) -> None:
    report = run_target(name, INPUTS[name], 1, tmp_path)
    assert report.finding is None, report.trace
    assert report.inputs == INPUTS[name] == report.accepted + sum(report.refused.values())
    assert report.coverage > 0
    assert list(tmp_path.iterdir()) == []


def test_given_a_decoder_with_a_wrong_number_for_rare_quantities_when_fuzzed_then_it_is_found_and_repeats(
    tmp_path: Path,
) -> None:
    report = run_target("avro", 20_000, 1, tmp_path, module="tests.fuzz.planted")
    assert report.finding is not None
    assert "onHand" in report.trace or "on_hand" in report.trace
    kept = report.finding.read_bytes()
    from .planted import TARGETS as PLANTED

    with pytest.raises(AssertionError, match="hundredths"):
        PLANTED["avro"].run(kept)
    assert TARGETS["avro"].run(kept) == "accepted"  # without the bug


def test_given_the_command_when_run_then_it_says_what_became_of_the_inputs_and_how_to_repeat_one(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--target", "keys", "--target", "state"]
    findings = ("--findings", str(tmp_path / "findings"))
    done = subprocess.run([*command, "--inputs", "400", *findings], cwd=_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "keys" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("400 inputs in ")
    assert done.stdout.splitlines()[-1].endswith("seed 1: no findings")
    assert "keys: " in done.stderr  # progress
    assert not (tmp_path / "findings").exists()
    (tmp_path / "input").write_bytes(b"\x01\x00")
    repeated = subprocess.run(
        [*command[:5], "--repeat", str(tmp_path / "input")], cwd=_ROOT, capture_output=True, text=True
    )
    assert repeated.returncode == 0, repeated.stderr
    assert repeated.stdout.strip() in ("accepted", "REFUSED")
