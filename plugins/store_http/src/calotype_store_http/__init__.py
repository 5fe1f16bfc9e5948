"""Images that lie on web servers: read by reference, and never other bytes than were registered."""

from calotype_store_http.store import HttpOptions, HttpStore

__all__ = ["HttpStore", "HttpOptions"]
