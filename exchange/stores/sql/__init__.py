"""Numbered SQL migrations, one folder per kind of database: ``NNNN_name.sql``."""
