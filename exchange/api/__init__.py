"""The node's local interface: HTTP on a Unix socket, for its officers and their scripts.

- ``routes``: the table of what can be asked; a new question is a new row
- ``app``: every request checked, parsed, answered by the desk, encoded, in one order
- ``auth``: who may ask; ``problems``: what an error becomes; ``events``: the stream
- ``serve``: where the interface listens
"""
