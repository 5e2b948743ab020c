"""Java's default partitioning of keyed records, which other producers and consumers of the topics use."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: murmur2, positive, modulo the partition count."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
