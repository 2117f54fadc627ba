"""Severity scales that come with the program, one TOML file each.

``load`` reads them, and the file that a state fills in; ``template.toml`` explains that file.
"""
