"""The parts of a service, which the HTTP application and the commands share."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.extensions import Extension
from calotype.images.lifecycle import Lifecycle
from calotype.stores.catalog import Catalog
from calotype.transfers.places import Places
from calotype.transfers.probes import Probes


@dataclass(frozen=True)
class Service:
    """The parts of a service, without HTTP."""

    settings: Settings
    database: Database
    stores: Catalog
    lifecycle: Lifecycle
    places: Places
    probes: Probes
    extensions: Sequence[Extension]

    def close(self) -> None:
        """Close threads and connections, even if some of them fail to close."""
        with contextlib.ExitStack() as stack:
            for part in (self.database, self.stores, self.lifecycle):
                stack.callback(part.close)
