"""Test vectors: one scenario per file, naming the layer that must refuse it."""
