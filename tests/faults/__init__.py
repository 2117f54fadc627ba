"""Faults: power cuts, failing disks, killed processes."""
