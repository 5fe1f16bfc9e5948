"""The client of machine-image services that speak Images v2: Calotype, and OpenStack Glance.

`Client` is the way in. The command `calotype` is in `calotype_client.cli`, and uses nothing that is not
public here. The names are imported at their first use, so that the command starts quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calotype_client.changes import ImageFields as ImageFields
    from calotype_client.client import Client as Client
    from calotype_client.errors import Ambiguous as Ambiguous
    from calotype_client.errors import CalotypeError as CalotypeError
    from calotype_client.errors import ChecksumMismatch as ChecksumMismatch
    from calotype_client.errors import Conflict as Conflict
    from calotype_client.errors import NotAllowed as NotAllowed
    from calotype_client.errors import NotAuthenticated as NotAuthenticated
    from calotype_client.errors import NotFound as NotFound
    from calotype_client.errors import NotSupported as NotSupported
    from calotype_client.errors import OutOfSpace as OutOfSpace
    from calotype_client.errors import ProtocolError as ProtocolError
    from calotype_client.errors import Refused as Refused
    from calotype_client.errors import SettingsError as SettingsError
    from calotype_client.errors import Unavailable as Unavailable
    from calotype_client.images import Image as Image
    from calotype_client.images import Member as Member
    from calotype_client.images import Store as Store
    from calotype_client.images import Task as Task
    from calotype_client.profiles.profile import Profile as Profile
    from calotype_client.transfers.options import TransferOptions as TransferOptions
    from calotype_client.transfers.progress import Progress as Progress
    from calotype_client.transfers.progress import Subject as Subject

__version__ = "0.1.0"

_HOMES = {
    "Client": "client",
    "ImageFields": "changes",
    "Image": "images",
    "Member": "images",
    "Store": "images",
    "Task": "images",
    "Profile": "profiles.profile",
    "Progress": "transfers.progress",
    "Subject": "transfers.progress",
    "TransferOptions": "transfers.options",
    "CalotypeError": "errors",
    "SettingsError": "errors",
    "NotAuthenticated": "errors",
    "NotAllowed": "errors",
    "NotFound": "errors",
    "Ambiguous": "errors",
    "Conflict": "errors",
    "OutOfSpace": "errors",
    "Unavailable": "errors",
    "ChecksumMismatch": "errors",
    "Refused": "errors",
    "NotSupported": "errors",
    "ProtocolError": "errors",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
