"""The driver S3Store: images as objects in S3, or in a service with the same API."""

from calotype_store_s3.store import S3Options, S3Store

__all__ = ["S3Options", "S3Store"]
