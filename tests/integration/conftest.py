"""Fixtures of the tests of the whole pipeline, and of those of the transactional producer's answers."""

from tests.pipeline.fixtures import Deploy, deploy, own_cluster
from tests.secure.fixtures import scene

from .answers import bench

__all__ = ["Deploy", "bench", "deploy", "own_cluster", "scene"]
