"""StoreConformance: the one suite that says what it means to be a store.

Subclass it, give it a fixture `store`, run pytest. What a driver declares is tried;
what it does not declare is skipped with that reason; what it cannot do although it
should is written into `known_gaps`, with why.
"""

from __future__ import annotations

from tintype.testing.downloads import Downloads
from tintype.testing.external import External
from tintype.testing.honesty import Honesty
from tintype.testing.removal import Removal
from tintype.testing.uploads import Uploads


class StoreConformance(Uploads, Downloads, Removal, External, Honesty):
    """About a hundred cases; the hooks are described in `tintype.testing.harness.Harness`."""
