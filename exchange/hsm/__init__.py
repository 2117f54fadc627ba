"""Keys that stay in a token: PKCS#11, of which nothing is loaded before a key needs it.

- ``tokens``: the entry: the tokens that this process uses
- ``login``: when a PIN may be offered, so that no restart ever locks a token
- ``library``: the library that the settings name, and the tokens it sees
- ``token``: one token, logged in; ``held``: the keys of one name in it, used, made and destroyed
- ``day_keys``: the keys of days, which are destroyed with everything that was locked under them
"""
