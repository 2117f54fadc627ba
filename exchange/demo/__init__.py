"""The story that ``almenara demo`` tells with real processes."""
