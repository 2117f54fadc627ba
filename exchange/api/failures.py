"""Failures that nobody foresaw, in the log: by class and place, never by text."""

from __future__ import annotations

from traceback import extract_tb

import structlog

_FRAMES = 4
_log = structlog.get_logger("almenara.api")


def log_failure(error: Exception, request_id: str) -> None:
    """Log an error without its text, which may quote a notice.

    Args:
        error: What was raised.
        request_id: The request in which it happened, as the caller was told.
    """
    frames = extract_tb(error.__traceback__)[-_FRAMES:]
    place = " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
    _log.error("request_failed", request_id=request_id, error=type(error).__name__, at=place)
