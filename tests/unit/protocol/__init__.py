"""Unit tests of the protocol room."""
