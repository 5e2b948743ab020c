"""Fixtures of the tests of the fault campaign."""

from tests.pipeline.fixtures import Deploy, deploy

__all__ = ["Deploy", "deploy"]
