"""The room of a store: the limits of Swift's objects, and the quotas of its account and containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calotype.stores import StoreInfo
from calotype_store_swift.options import OBJECT_MAX

#: The maximum number of segments in a manifest, if Swift does not report it.
MANIFEST_MAX = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest object in bytes, and the maximum number of segments in a manifest."""

    object_max: int = OBJECT_MAX
    segments_max: int = MANIFEST_MAX

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> Limits:
        """Return the limits that Swift's /info reports. No segment is larger than 5 GiB."""
        object_max = int(info.get("swift", {}).get("max_file_size", OBJECT_MAX))
        segments_max = int(info.get("slo", {}).get("max_manifest_segments", MANIFEST_MAX))
        return cls(min(object_max, OBJECT_MAX), segments_max)

    @property
    def largest(self) -> int:
        """The size of the largest image in bytes. The segments of large images are larger."""
        return self.object_max * self.segments_max


@dataclass(frozen=True, slots=True)
class Quota:
    """The bytes that an account or a container may hold (None: no limit), and those that it holds."""

    limit: int | None
    used: int

    @classmethod
    def of(cls, kind: str, headers: Mapping[str, str]) -> Quota:
        """Return the quota in the headers of an account or a container. `kind` says of which."""
        # For accounts, newer versions of Swift send the first header. Older ones and Ceph send the second.
        limit = headers.get(f"x-{kind}-quota-bytes") or headers.get(f"x-{kind}-meta-quota-bytes") or ""
        return cls(int(limit) if limit.isdecimal() else None, int(headers.get(f"x-{kind}-bytes-used", 0)))


def measure(account: Quota | None, containers: Sequence[Quota], largest: int) -> StoreInfo:
    """Return the room that the quotas leave; `account` is None if its quota may not be read.

    If every container has a quota, the sum of these quotas limits the store, too.
    """
    limits, rooms = [], []
    if account is not None and account.limit is not None:
        limits.append(account.limit)
        rooms.append(account.limit - account.used)
    known = [(one.limit, one.used) for one in containers if one.limit is not None]
    if len(known) == len(containers):
        limits.append(sum(limit for limit, _ in known))
        rooms.append(sum(max(0, limit - used) for limit, used in known))
    if not limits:
        return StoreInfo(largest=largest)
    capacity = min(limits)
    return StoreInfo(capacity, max(0, min(rooms)), min(largest, capacity))
