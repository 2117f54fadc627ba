"""The story that ``almenara demo`` tells, with real processes on this machine.

- ``command``: the command; ``performance``: one performance, and a clean house after it
- ``cast``: who plays and what they say; ``stix``: the attachment; ``story``: the parts in order
- ``community``: the ceremony before it; ``stage``: the folder and what runs in it
- ``processes``: started, watched, ended; ``nodes``: a node asked over its local interface
- ``audit``: the auditor's act after it
- ``tamper``: the dishonest operator; ``deadline``: bounds each part; ``report``: tells
"""
