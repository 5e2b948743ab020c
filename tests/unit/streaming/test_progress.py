"""How far a restore has come: what is left goes down to nothing."""

from atp_stream.streaming.progress import Progress
from atp_stream.streaming.records import Partition

ONE, TWO, DONE = Partition("t", 1), Partition("t", 2), Partition("t", 3)


def test_given_a_restore_when_partitions_are_read_then_what_is_left_goes_down_to_nothing() -> None:
    progress = Progress({ONE: (0, 100), TWO: (50, 60), DONE: (7, 7)})
    assert (progress.left.partitions, progress.left.records, progress.left.seconds) == (2, 110, None)
    progress.reach(ONE, 80, 3)  # three records of a compacted log
    left = progress.left
    assert (left.partitions, left.records) == (2, 30)
    assert left.seconds is not None
    assert left.seconds > 0
    progress.reach(TWO, 60, 10)
    assert (progress.left.partitions, progress.left.records) == (1, 20)
    progress.reach(ONE, 100, 1)
    assert (progress.left.partitions, progress.left.records, progress.left.seconds) == (0, 0, 0)
