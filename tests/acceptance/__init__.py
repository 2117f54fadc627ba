"""The whole thing, as people use it."""
