"""Transfers of bytes between files and servers, and between servers.

`push`, `pull` and `relay` are the transfers. A transfer that was cut goes on when it is begun again: `state`
keeps what it needs.
"""
