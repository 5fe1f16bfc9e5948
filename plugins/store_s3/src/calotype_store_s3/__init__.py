"""Images as objects in S3, or in what speaks like it: the driver is `S3Store`."""

from calotype_store_s3.store import S3Options, S3Store

__all__ = ["S3Options", "S3Store"]
