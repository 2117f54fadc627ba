"""Running processes: unlock the keys, put a service and its faces together, stop on a signal.

``coordinator`` and ``node`` are apart, so that a coordinator's process loads no code that opens.
"""
