"""Migrations of a coordinator's database."""
