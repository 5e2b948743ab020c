"""The list of checks, as the report has it: which were made, and why others were not (docs/operations.md)."""

from typing import Final

from atp_stream.tools.verify.report import Check

REPLAY: Final = "the log, decided again, gives table and outputs"
INGEST: Final = "each source record lies in the changes log or the dead letters, once"


def list_checks(
    impossible: str | None, ingest: Check, partial: int, every_change: bool, one_policy: bool
) -> list[Check]:
    """Return all checks.

    impossible: why there was no replay, None: there was one; partial: items whose outputs have expired in part;
    every_change: the emit mode; one_policy: whether all outputs were decided by the policy in force.
    """
    made, why = impossible is None, impossible or ""
    expired = f"not in full for {partial:,} items, whose first outputs expired" if partial else ""
    thinned = "" if every_change else "emit is latest_per_batch: of availability, the last of each channel"
    by_outputs = every_change and one_policy
    return [
        Check(REPLAY, made, why or thinned),
        Check("outputs: gapless numbers, each once, ids, keys, partitions", True, expired),
        Check("table equals the outputs summed up", True, expired),
        Check("no commitment takes safety stock", made, why),
        Check(
            "no commitment is beyond what was available",
            made or by_outputs,
            "" if by_outputs else why or "by the replay only: emit is latest_per_batch",
        ),
        Check("reserved is within the limit, and the sum of committed reservations", True, expired),
        ingest,
        Check("group offsets agree with the watermarks", True),
    ]
