"""A database for the fault tests: rows, an index, and a step added later."""
