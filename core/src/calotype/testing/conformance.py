"""StoreConformance: the test suite that defines a store.

Subclass it, define a fixture `store`, and run pytest. Capabilities that a driver declares are tested; tests
of others are skipped with the reason. If a driver cannot do what it should, `known_gaps` names the test and
the reason.
"""

from __future__ import annotations

from calotype.testing.downloads import Downloads
from calotype.testing.external import External
from calotype.testing.honesty import Honesty
from calotype.testing.removal import Removal
from calotype.testing.uploads import Uploads


class StoreConformance(Uploads, Downloads, Removal, External, Honesty):
    """About a hundred cases; the hooks are described in `calotype.testing.harness.Harness`."""
