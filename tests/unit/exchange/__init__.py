"""Unit tests of the room that adds time, disk and network."""
