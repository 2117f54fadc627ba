"""Fixtures of the acceptance tests."""

from tests.acceptance.ceremony import ceremony

__all__ = ["ceremony"]
