"""Design section 2.3: the same inputs in the same order give the same outputs, in any process."""

import os
import subprocess
import sys

from tests.property.fixed_run import digest


def _digest_under(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.property.fixed_run"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_outputs_and_states_do_not_depend_on_the_hash_seed() -> None:
    digests = {_digest_under(seed) for seed in ("0", "1", "12345")}
    assert digests == {digest()}
    assert int(digest().split()[0]) > 500
