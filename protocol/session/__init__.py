"""The session between a node and a coordinator: bytes in, events out; time is an argument.

- ``messages``: every message, one structure each
- ``table``: who may send what, when, and what state follows; both sides use this one table
- ``flow``: how much may be outstanding
- ``handshake``: what the two signed hellos cover
- ``session``: the core that puts these together
"""
