"""StoreConformance: the test suite that defines a store.

Subclass it, define a fixture `store`, and run pytest. The kit tests the abilities that the driver has. It
skips the tests of all other abilities, and states the reason. If a driver is known to fail a test,
`known_gaps` names the test and the reason.
"""

from __future__ import annotations

from calotype.testing.away import Away
from calotype.testing.concurrency import Concurrency
from calotype.testing.connections import Connections
from calotype.testing.contents import Contents
from calotype.testing.copying import Copying
from calotype.testing.declarations import Declarations
from calotype.testing.disclosure import Disclosure
from calotype.testing.downloads import Downloads
from calotype.testing.durability import Durability
from calotype.testing.external import Externals
from calotype.testing.honesty import Honesty
from calotype.testing.in_parts import InParts
from calotype.testing.listing import Listings
from calotype.testing.reading import Reading
from calotype.testing.removal import Removal
from calotype.testing.resources import Resources
from calotype.testing.uploads import Uploads


class StoreConformance(
    Uploads,
    Contents,
    Durability,
    Concurrency,
    Downloads,
    Reading,
    Removal,
    Listings,
    Away,
    Connections,
    Copying,
    InParts,
    Externals,
    Declarations,
    Honesty,
    Disclosure,
    Resources,
):
    """Several hundred cases; the hooks are described in `calotype.testing.harness.Harness`."""
