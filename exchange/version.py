"""The version of this program, readable without asking the package metadata."""

from __future__ import annotations

VERSION = "0.1.0"
"""What ``almenara --version`` prints; the same as in ``pyproject.toml``."""
