"""The audit: what an auditor can prove from a bundle and the pinned root hash, on no network.

- ``verdict``: the result as values: what was checked, what failed, what could not be checked, figures
- ``report``: the verdict as a page to read and to print
"""
