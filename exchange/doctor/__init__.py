"""The doctor: numbered checks of one data directory, each with one sentence and its fix.

It reads, and changes nothing: a stopped place needs no lock for it, and a running node is asked in
addition, if a token for it is at hand. A check is one small function in a table.

- ``checks``: the table, and how it is gone through; ``patient``: what there is to look at
- ``files``: the directory, its keys and tokens; ``anchoring``: the ledger's second copy
- ``machine``: disk, database, libraries, memory; ``servers``: a database that lies on some
- ``standing``: membership, expiries, witnesses; ``traffic``: queue, alarms, clock, and restored places
"""
