"""Calotype and those it is measured against, each on the loopback address with two processes.

A peer installs what it lacks: Debian's packages with apt, others into a folder of the
user's cache. All speak through the same client, each in its own dialect.
"""
