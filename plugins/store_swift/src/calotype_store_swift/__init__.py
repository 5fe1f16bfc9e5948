"""The Swift driver: images as objects in OpenStack Swift, large ones as static large objects (SLO)."""

from calotype_store_swift.options import SwiftOptions
from calotype_store_swift.store import SwiftStore

__all__ = ["SwiftOptions", "SwiftStore"]
