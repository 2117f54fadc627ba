"""The node's local interface: HTTP on a Unix socket, for its officers and their scripts.

``routes`` is the table of what can be asked, ``app`` serves it, ``auth`` decides who may ask,
``problems`` what errors become, ``events`` streams, ``serve`` listens.
"""
