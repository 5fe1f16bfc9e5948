"""The commands: `calotype-manage` in `manage` and the modules that it imports, and `pserve`.

This module imports nothing, so that a service does not load the commands and their libraries.
"""
