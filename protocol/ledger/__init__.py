"""The ledger's formats: C2SP byte for byte.

- ``origins``: the two logs of a coordinator, and their names
"""
