"""Backups of a node or a coordinator: one file, made while it runs, checked without opening a key.

A backup is a tar file of mode 0600. Its first member, ``backup.json``, says whose it is, when it was
made, and the SHA-256 of every other one; the database comes first among them. What must not travel
with a backup is never in one: daily wrapping keys, a coordinator's anchor, tokens that wait to be
handed over. Nor is a database that lies on a server: that has tools of its own.

- ``contents``: what belongs into a backup of which place; ``elsewhere``: what else must be saved, and how;
  ``manifest``: the first member
- ``making``: a backup made; ``archive``: a backup read and checked; ``restoring``: a place filled from it
"""
