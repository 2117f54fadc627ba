"""How long a test waits for what must come."""

from __future__ import annotations

PATIENCE_S = 15.0
"""Where only liveness is meant: far more than it takes, so that a busy machine fails no test; a hang does.

Less than the 20 seconds of a heartbeat, which must not do what should happen by itself.
"""
