"""What a caller can choose about a transfer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """Options of a transfer.

    `rate` is the most bytes in a second, over all connections. `store` is the store that an upload goes into.
    With `resume` false, a transfer that was cut is begun anew. With `replace`, a download replaces a file.
    """

    connections: int = 4
    rate: int | None = None
    store: str | None = None
    resume: bool = True
    replace: bool = False
