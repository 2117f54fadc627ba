"""Running processes: unlock the keys, put a service and its faces together, stop on a signal."""
