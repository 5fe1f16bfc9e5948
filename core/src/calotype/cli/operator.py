"""The operator who runs a command, as the author of changes."""

from __future__ import annotations

import getpass

from calotype.model.audit import Agent, Origin
from calotype.model.policy import Caller


def operator() -> Caller:
    """Return an administrator with the name of the operating system's user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        user = None
    return Caller(user, None, frozenset({"admin"}), origin=Origin(Agent.COMMAND))
