"""The wire: sockets, TLS and pinned certificates round a protocol session.

- ``pump``: the one pump: a WebSocket and a timer round a session
- ``handshake``: the signed hello: each side proves who it is, on this very connection
- ``client``: a node's way to its coordinator, one attempt; ``server``: the coordinator's door
- ``door``: listens, and lets in within the limits; ``guard``: what strangers may cost;
  ``first_record``: nothing before TLS begins in earnest
- ``tls``: contexts that trust exactly what is pinned
- ``certificate``: making and reading certificates; ``internals``: what aiohttp does not document
"""
