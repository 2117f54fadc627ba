"""Setting up by hand: governance, coordinator, node, officers; every step a function, no terminal.

What leaves a place travels as two kinds of file: ``request.alm`` towards governance, and
``community.alm`` back. Both may be sent over any channel; what must be compared by people is the
root hash and the fingerprint of each request's key.
"""
