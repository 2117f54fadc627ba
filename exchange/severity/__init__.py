"""Severity scales that come with the program, and the reader of the files they are written in."""
