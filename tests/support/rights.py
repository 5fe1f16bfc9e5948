"""Callers and their rights, written from docs/security.md, and not read from `calotype.model.policy`."""

from __future__ import annotations

from calotype.model import policy
from calotype.model.images import Visibility
from calotype.model.policy import Caller
from calotype.model.states import Status

OWNER, FRIEND, SHARER, STRANGER = "owner", "friend", "sharer", "stranger"

CALLERS = {
    "admin": Caller("root", "ops", frozenset({"admin"})),
    "owner": Caller("o", OWNER, frozenset({"member", "reader"})),
    "owner without a role": Caller("o", OWNER),
    "owner's reader": Caller("or", OWNER, frozenset({"reader"})),
    "member": Caller("f", FRIEND, frozenset({"member"})),
    "member who may share": Caller("s", SHARER, frozenset({"member"})),
    "member's reader": Caller("fr", FRIEND, frozenset({"reader"})),
    "stranger": Caller("x", STRANGER, frozenset({"member"})),
    "stranger's reader": Caller("xr", STRANGER, frozenset({"reader"})),
    "nobody's": Caller("n", None, frozenset({"member"})),
    "anonymous": Caller(anonymous=True),
}


def expected(who: str, permission: str, status: Status, visibility: Visibility) -> bool:
    """Return True if the table in docs/security.md gives the caller this permission."""
    writes = not who.endswith("reader") and who != "anonymous"
    belongs = who.startswith("member") and visibility is Visibility.SHARED
    sees = (
        who.startswith(("admin", "owner"))
        or belongs
        or visibility is Visibility.PUBLIC
        or (visibility is Visibility.COMMUNITY and who != "anonymous")
    )
    if who == "admin":
        return True
    if permission == policy.VIEW:
        return sees
    if permission == policy.DOWNLOAD:
        return sees and status is not Status.DEACTIVATED and (writes or who == "anonymous")
    if permission == policy.ANSWER:
        return belongs and writes
    if permission == policy.SHARE and who == "member who may share":
        return belongs
    return who.startswith("owner") and writes
