"""What a caller can choose about a transfer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """Options of a transfer.

    `connections` is the most connections at the same time. If it is None, a download has four, and an upload
    as many as pay: see `uploads.connections_for`. `rate` is the most bytes in a second, over all of them.
    `store` is the store that an upload goes into. With `resume` false, a transfer that was cut is begun anew.
    With `replace`, a download replaces a file.
    """

    connections: int | None = None
    rate: int | None = None
    store: str | None = None
    resume: bool = True
    replace: bool = False
