"""Migrations of a coordinator's database on PostgreSQL."""
