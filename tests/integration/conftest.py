"""Fixtures of the tests of the whole pipeline."""

from tests.pipeline.fixtures import Deploy, deploy

__all__ = ["Deploy", "deploy"]
