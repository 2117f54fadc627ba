"""The relay in the middle: admits, stores and forwards what it cannot read."""
