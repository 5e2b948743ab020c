"""Design section 2.3: the same inputs in the same order give the same outputs, in any process."""

import os
import subprocess
import sys

from tests.property import stage_run
from tests.property.fixed_run import digest


def _digest_under(hash_seed: str, module: str = "tests.property.fixed_run") -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", module]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_outputs_and_states_do_not_depend_on_the_hash_seed() -> None:
    digests = {_digest_under(seed) for seed in ("0", "1", "12345")}
    assert digests == {digest()}
    assert int(digest().split()[0]) > 500


def test_bytes_of_outputs_and_changelog_do_not_depend_on_the_hash_seed() -> None:
    digests = {_digest_under(seed, "tests.property.stage_run") for seed in ("0", "12345")}
    assert digests == {stage_run.digest(100)}
    assert int(stage_run.digest(100).split()[0]) > 500


def test_bytes_do_not_depend_on_how_the_log_is_cut_into_batches() -> None:
    assert stage_run.digest(1) == stage_run.digest(7) == stage_run.digest(5000)
