"""The audit: what an auditor can prove from a bundle and the pinned root hash, on no network.

- ``verify``: the verifier, which knows no network, database, clock or settings
- ``verdict``: the result as values: what was checked, what failed, what could not be checked, figures
- ``folder``: a bundle in a directory
- ``export``: fetching one over HTTPS, with ``fetch`` (the connection) and ``readme`` (its page for people)
- ``report``: the verdict as a page to read and to print
"""
