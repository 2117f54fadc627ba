"""The verifier: bytes and the pinned root hash in, a verdict out. No network, clock, disk or settings.

- ``bundle``: the whole audit, in the order of ``protocol/spec/bundle.md``
- ``receipt``: the same for one receipt
- ``parts``: the files, compared with the list; ``record``: what was checked, and what was found

The rules by which everything is judged:

- ``documents``: the trust documents, at every place of the ledger; ``history``: what they did to keys
- ``keys``: which key may say what at one place
- ``checkpoints``: who signed and cosigned them; ``clock``: what their times prove

The ledger, read once:

- ``ledger``: leaf after leaf; ``tree``: their hashes; ``judge``: one statement at its place
- ``chains``: the series of each signer; ``disclosure``: notices that a state opened

The notices, judged at the end:

- ``doubts``: what keys signed that were in foreign hands
- ``events``: what was said about each, in little memory; ``notices``: what became of it
- ``figures``: counts and latencies
"""
