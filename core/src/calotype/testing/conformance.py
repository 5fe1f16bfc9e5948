"""StoreConformance: the one suite that says what it means to be a store.

Subclass it, give it a fixture `store`, run pytest. What a driver declares is tried;
what it does not declare is skipped with that reason; what it cannot do although it
should is written into `known_gaps`, with why.
"""

from __future__ import annotations

from calotype.testing.downloads import Downloads
from calotype.testing.external import External
from calotype.testing.honesty import Honesty
from calotype.testing.removal import Removal
from calotype.testing.uploads import Uploads


class StoreConformance(Uploads, Downloads, Removal, External, Honesty):
    """About a hundred cases; the hooks are described in `calotype.testing.harness.Harness`."""
