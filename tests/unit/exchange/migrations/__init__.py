"""A small database for unit tests."""
