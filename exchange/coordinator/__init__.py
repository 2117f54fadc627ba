"""The coordinator: relays what it cannot read, promises to, and records who said what about it.

A request's way:

- ``visit``: serves one node's session; ``sessions``: who is connected now
- ``waiting``: the queue, in which members take turns; ``budget``: what one member may cost
- ``admission``: may this be relayed? the rules; ``judging``: applies them, stores nothing;
  ``verifying``: checks signatures beside each other
- ``relay``: gathers one round while it writes the one before, and answers; ``round``: what it writes
  together; ``promises``: its signed RELAYED and UNDELIVERED

A delivery's way:

- ``posting``: handed over from memory to who is here
- ``mailbox``: pushed in order, as far as the window allows; ``cursors``: what was collected
- ``undelivered``: says what expired; ``expiring``: logs what ends soon

The ledger's way, from rows to what auditors read:

- ``announcing``: says in the log of statements which documents count
- ``ledger``: both logs, and all that runs for them; ``heads``: what is shown of them
- ``sequencer``: signs what came, durable twice before anybody is told; ``anchor``: the second place;
  ``recovery``: what a crash may leave behind, and what not; ``prefix``: follows what another process signed
- ``witnesses``: asks the nodes to cosign, round after round; ``asked``: what they have not answered;
  ``gathering``: their answers; ``refuting``: what they show against the log
- ``locating``: proofs for the nodes
- ``reading_room``: the ledger over HTTPS; ``pages``: what there is; ``readers``: who may read it

Among the processes of one coordinator:

- ``duties``: what one process does for all, under a lease; ``lookout``: what the others have changed
- ``roll``: this process says that it is there, and keeps its nodes' sessions; ``status``: how all of them are

The rest:

- ``community``: which community it serves; ``documents``: its documents, accepted and mirrored;
  ``following``: those that came by another process; ``incoming``: handed in by its operator while it runs
- ``own_keys``: which statement key signs now, and which certificate is shown
- ``opening``: reads the data directory; ``service``: puts the parts together, starts, drains, stops

Nothing here can reach the code that opens an envelope.
"""
