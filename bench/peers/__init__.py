"""Calotype and its peers in comparisons, each on the loopback address with a process for each core.

A peer installs missing software: Debian's packages with apt, everything else into a folder of the user's
cache. The same client measures all peers, each with its own API.
"""
