"""The coordinator: relays what it cannot read, promises to, and records who said what about it.

``opening`` reads the data directory and ``service`` puts the parts together; ``visit`` serves one
node's session and ``sessions`` knows who is connected; ``admission`` with ``budget`` judges what a node
brings, ``waiting`` lets members take turns, ``relay`` makes a ``round`` durable and answers, with the
``promises`` it signs; ``mailbox`` pushes to recipients, ``cursors`` remembers what they collected,
``undelivered`` says what expired; ``documents`` mirrors the ``community``.

Nothing here can reach the code that opens an envelope.
"""
