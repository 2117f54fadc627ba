"""The story that ``almenara demo`` tells, with real processes on this machine.

``cast`` says who plays and what they say, ``stix`` makes the attachment, ``community`` holds the
ceremony, ``stage`` is the folder and what runs in it, ``processes`` starts and ends, ``nodes`` asks
a node over its local interface, ``tamper`` is the dishonest operator, ``story`` plays, ``deadline``
bounds each part, ``report`` tells, and ``performance`` puts it together and cleans up.
"""
