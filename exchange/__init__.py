"""Says the words: time, disk and network."""
