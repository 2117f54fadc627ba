"""Severity vectors: schemas, tags, references and translations. See README.md."""
