"""The connection of one store to its bucket: one boto3 client for all threads, made at the first use."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import boto3.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from calotype.stores import StoreError
from calotype_store_s3.errors import explain
from calotype_store_s3.options import S3Options

#: Maximum idle connections for reads, in addition to the connections that send parts.
READERS = 32


class Bucket:
    """Calls on the bucket. Errors of botocore are raised as StoreErrors."""

    def __init__(self, store: str, options: S3Options):
        self.store = store
        self.options = options
        #: False once the server has shown that it does not implement If-None-Match for writes.
        self.conditional = True
        self._lock = threading.Lock()
        self._turns: weakref.WeakValueDictionary[str, threading.Lock] = weakref.WeakValueDictionary()
        self._clients: dict[str | None, BaseClient] = {}

    def call(self, operation: str, **parameters: Any) -> dict:
        """Do one S3 operation on the bucket, and return the answer."""
        try:
            return getattr(self.client(), operation)(Bucket=self.options.bucket, **parameters)
        except (ClientError, BotoCoreError) as error:
            raise self.explained(error) from error

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict]:
        """Yield the pages of a listing."""
        try:
            paginator = self.client().get_paginator(operation)
            yield from paginator.paginate(Bucket=self.options.bucket, **parameters)
        except (ClientError, BotoCoreError) as error:
            raise self.explained(error) from error

    def signed_url(self, name: str, expires: int) -> str:
        """Return a URL for reading the object, valid for `expires` seconds, at the endpoint for clients."""
        try:
            return self.client(self.options.public_endpoint).generate_presigned_url(
                "get_object", Params={"Bucket": self.options.bucket, "Key": name}, ExpiresIn=expires
            )
        except (ClientError, BotoCoreError) as error:
            raise self.explained(error) from error

    def explained(self, error: Exception) -> StoreError:
        """Return the contract's error for an error of botocore."""
        return explain(self.store, error, virtual=not self.options.path_style)

    def client(self, endpoint: str | None = None) -> BaseClient:
        """Return the cached client for the endpoint (None: the store's own). Creating one takes 0.1 s."""
        with self._lock:
            if endpoint not in self._clients:
                self._clients[endpoint] = _client(self.options, endpoint or self.options.endpoint_url)
            return self._clients[endpoint]

    def turn(self, name: str) -> threading.Lock:
        """Return the lock that all uploads of the same object in this process share."""
        with self._lock:
            return self._turns.setdefault(name, threading.Lock())

    def close(self) -> None:
        """Close the connections. A later call would create a new client."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


def _client(options: S3Options, endpoint: str | None) -> BaseClient:
    # At DEBUG botocore logs the access key and each request's signature.
    logging.getLogger("botocore").setLevel(logging.INFO)
    secret, proxy = options.secret_key, options.proxy
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if options.path_style else options.addressing},
        request_checksum_calculation=options.checksums,
        response_checksum_validation=options.checksums,
        connect_timeout=options.connect_timeout,
        read_timeout=options.read_timeout,
        retries={"mode": "standard", "total_max_attempts": options.retries + 1},
        max_pool_connections=options.max_concurrency + READERS,
        proxies={scheme: proxy.get_secret_value() for scheme in ("http", "https")} if proxy else None,
        tcp_keepalive=True,
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=options.region,
        aws_access_key_id=options.access_key,
        aws_secret_access_key=secret and secret.get_secret_value(),
        verify=False if not options.verify else str(options.ca_bundle) if options.ca_bundle else None,
        config=config,
    )
