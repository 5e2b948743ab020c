"""A real Kafka and a real schema registry on this machine: for development, demo and tests (design section 8)."""

from atp_stream.local.cluster import ClusterStatus, LocalCluster, default_directory
from atp_stream.local.progress import Progress, Report, shown, silent
from atp_stream.local.service import ServiceStatus
from atp_stream.local.software import cache_directory, fetch

__all__ = [
    "ClusterStatus",
    "LocalCluster",
    "Progress",
    "Report",
    "ServiceStatus",
    "cache_directory",
    "default_directory",
    "fetch",
    "shown",
    "silent",
]
