"""The process that holds opening keys, so that the one which speaks to the network need not.

- ``daykeys``: the wrapping keys of days, made, used and destroyed
"""
