"""Fixtures of the tests of the set-up, one ceremony for all of them; and of those that read the log."""

from tests.acceptance.ceremony import applied, ceremony
from tests.logs import logging_as_before

__all__ = ["applied", "ceremony", "logging_as_before"]
