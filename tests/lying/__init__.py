"""A coordinator that lies: the real one, with a switch for each lie.

``lies`` names them; ``store`` and ``split`` tell them; ``__main__`` runs the liar as a process of its own,
so that honest nodes, which are the real ones too, meet it over the real wire.
"""
