"""The driver HttpStore: images on web servers. It returns no other bytes than the registered ones."""

from calotype_store_http.store import HttpOptions, HttpStore

__all__ = ["HttpStore", "HttpOptions"]
