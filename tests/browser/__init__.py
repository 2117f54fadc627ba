"""What people see, looked at with a real browser; skipped where none is installed."""
