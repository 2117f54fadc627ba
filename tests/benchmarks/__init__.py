"""Measurements, not tests: ``python -m tests.benchmarks``. ``report`` lists the goals beside the figures."""
