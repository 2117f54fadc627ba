"""Fixtures of the tests of the set-up: one ceremony for all of them."""

from tests.acceptance.ceremony import applied, ceremony

__all__ = ["applied", "ceremony"]
