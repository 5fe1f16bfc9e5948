"""An image's life: which status follows which (`states`), and the verbs that move it on (`images`).

Bytes come and go in `transfers`, under `leases`. No HTTP in any of it.
"""

from calotype.lifecycle.images import Lifecycle
from calotype.lifecycle.members import Sharing, check_shared
from calotype.lifecycle.reading import Shortcut
from calotype.lifecycle.scrubbing import Rechecked, Scrubber
from calotype.lifecycle.states import (
    ALIVE,
    NEXT,
    CallerExpired,
    Conflict,
    NoData,
    NoGoodCopy,
    NotAllowed,
    NotFound,
    NotQueued,
    Protected,
    TakenOver,
    TooManyDownloads,
    UnknownStore,
    UnknownTarget,
    Vanished,
)
from calotype.lifecycle.transfers import Swept

__all__ = [
    "Lifecycle",
    "NEXT",
    "ALIVE",
    "CallerExpired",
    "Rechecked",
    "Scrubber",
    "Sharing",
    "Shortcut",
    "Swept",
    "Conflict",
    "NoData",
    "NoGoodCopy",
    "NotAllowed",
    "NotFound",
    "NotQueued",
    "Protected",
    "TakenOver",
    "TooManyDownloads",
    "UnknownStore",
    "UnknownTarget",
    "Vanished",
    "check_shared",
]
