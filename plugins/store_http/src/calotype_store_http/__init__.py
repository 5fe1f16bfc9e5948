"""The driver HttpStore: images on web servers. It refuses a source that has changed."""

from calotype_store_http.store import HttpOptions, HttpStore

__all__ = ["HttpStore", "HttpOptions"]
