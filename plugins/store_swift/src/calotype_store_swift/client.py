"""swiftclient's Connection, which here sends bodies in large blocks.

urllib3 reads and sends 16 KiB at a time unless told otherwise: of a GiB that makes
65,536 turns through Python, a tenth of all that an upload costs.
"""

from __future__ import annotations

from typing import Any

import swiftclient
from requests.adapters import HTTPAdapter

#: Bytes sent at a time. A timeout counts for one block: smaller ones suit slower networks.
BLOCK = 256 << 10


class Client(swiftclient.Connection):
    """A connection to an account, for one thread at a time."""

    def http_connection(self, url: str | None = None) -> tuple[Any, Any]:
        """The parsed address and swiftclient's own HTTP connection, as swiftclient asks for them."""
        parsed, connection = super().http_connection(url)
        connection.request_session.mount(f"{parsed.scheme}://", _LargeBlocks())
        return parsed, connection


class _LargeBlocks(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=BLOCK, **options)
