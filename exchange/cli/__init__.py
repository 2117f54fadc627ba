"""The commands: each one parses, calls and prints."""
