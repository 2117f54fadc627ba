"""A community in one process and virtual time, where all fails by a seed: ``python -m tests.simulation``.

The members run the code that ships: sessions, couriers, stores, sequencers, witnesses. What they stand on is
replaced: time, network, disks, randomness, and the cryptography by something cheap. One seed gives one
history, whatever machine and hash seed; a failure names the seed, and the same command shows it again.

- ``world``: one simulation, safety first and then liveness; ``__main__``: the command
- ``loop``: virtual time and whose process runs; ``clocks``, ``network``, ``disks``: what the members stand on
- ``stage``: what is replaced, and by what; ``cheap``: signatures and seals that cost microseconds
- ``members``: machines and processes; ``people``: who is a member; ``crowd``: who uses the nodes
- ``nemesis``: what goes wrong
- ``record``: what was claimed, seen from outside; ``examine``: disks compared with it
- ``mutants``: faults put into the product on purpose, each of which must be found
"""
