"""The ledger's words: trees, signed sizes, tiles and proofs, as C2SP writes them. See ``spec/ledger.md``.

Everything here is read from strangers' files: each parser takes the one permitted spelling and
refuses the rest. No signature is made or checked here; that is for ``keys``.

- ``origins``: the two logs, and their names
- ``leaf``: what is hashed into them
- ``frontier``: a growing tree, remembered by its peaks
- ``note``: text with signature lines, and the keys that verify them
- ``checkpoint``: a note that says how large a log is, and its root
- ``cosignature``: what a timestamped signature over a checkpoint covers
- ``policy``: which logs, which witnesses, and how many of them
- ``witness``: the request for a cosignature, and its answers
- ``tiles``: the tree as files of 256 hashes, and its leaves as files of 256 entries
- ``pack``: the objects behind the leaves, in files of their own
- ``bundle``: the files of an auditor's bundle, and the list that names them
- ``proof``: one leaf's place under one checkpoint, as text; ``receipt``: all that proves one notice's
  way, in one file
"""
