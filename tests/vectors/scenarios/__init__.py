"""The scenarios of the wire formats, one module per folder of vectors."""
