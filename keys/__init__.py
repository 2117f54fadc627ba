"""Who may say the words: secrets and randomness. No clock, no disk, no network."""
