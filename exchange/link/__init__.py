"""The wire: sockets, TLS and pinned certificates round a protocol session."""
