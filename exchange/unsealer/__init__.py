"""A node's second process, which alone holds the keys that open what others seal to the node.

In that process, which has no network:

- ``process``: starts, answers, starts itself anew; ``confinement``: what it gives up first
- ``opener``: what it does for a request
- ``daykeys``: the wrapping keys of days, made, used and destroyed

In the node, which cannot reach any of these:

- ``client``: asks, and waits; ``launch``: starts the process

Between them:

- ``messages``: what they say to each other
"""
