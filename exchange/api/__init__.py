"""The node's local interface: HTTP on a Unix socket, for its officers and their scripts."""
