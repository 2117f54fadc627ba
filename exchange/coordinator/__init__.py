"""The coordinator: relays what it cannot read, promises to, and records who said what about it.

``service`` puts it together; ``visit`` serves one node's session; ``admission`` judges what a node
brings, ``relay`` makes it durable and answers, ``mailbox`` pushes it to recipients, ``cursors``
remembers what they collected, ``documents`` mirrors the community, ``undelivered`` says what expired.
Nothing here can reach the code that opens an envelope.
"""
