"""Java's default partitioning."""

import pytest
from aiokafka.partitioner import murmur2

from atp_stream.streaming.partitioner import partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [  # the vectors of Kafka's own UtilsTest
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_given_javas_vectors_then_the_hash_is_javas(key: bytes, expected: int) -> None:
    assert murmur2(key) & 0xFFFFFFFF == expected & 0xFFFFFFFF
    assert partition_of(key, 12) == (expected & 0x7FFFFFFF) % 12


def test_given_any_key_then_the_partition_lies_within_the_topic() -> None:
    assert {partition_of(b"%d" % n, 6) for n in range(200)} == set(range(6))
    assert partition_of(b"", 1) == 0
