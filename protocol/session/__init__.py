"""The session between a node and a coordinator: messages, one legality table, bytes in, events out."""
