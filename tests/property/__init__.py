"""Rules that hold for every input, found by trying many."""
