"""``almenara hammer``: an honest load against a community that is there to be tested.

- ``target``: which community, who is in it, and whether it may be hammered
- ``profiles``: when each notice is due, whatever became of those before
- ``load``: sends them, follows the node's events, and takes the times
- ``histogram``: times in buckets of one percent; ``disk``: what a flush costs here
- ``result``: what was measured, for people and machines; ``command``: the command
"""
