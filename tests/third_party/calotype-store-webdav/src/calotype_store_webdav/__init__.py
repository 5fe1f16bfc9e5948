"""Images in a WebDAV collection (RFC 4918), as nginx and Apache serve one.

Each image is a collection of its own with one file: `KEY/image`. Making the
collection claims the key, for MKCOL is exclusive on every server, which MOVE with
`Overwrite: F` is not (nginx looks first, then renames). The bytes go to `KEY/part`
and are renamed when they are whole. Whatever went wrong, deleting `KEY/` undoes
it all, and a PUT that comes late finds no collection.
"""

from __future__ import annotations

import base64
import contextlib
from urllib.parse import urlsplit

import urllib3
from pydantic import Field, FilePath, SecretStr
from urllib3 import exceptions as broken

from calotype.stores import Capability, Reader, Store, Stored, StoreOptions
from calotype.stores.errors import BlobChanged, BlobNotFound, Duplicate, StoreError, StoreFull, Unavailable
from calotype.stores.toolkit import ResumingReader, key_of

SCHEME = "dav:"
BLOCK = 1 << 20
#: What some statuses mean here.
REASONS = {
    401: "it refuses our credentials (set username and password)",
    403: "it does not allow this (set username and password; check the server's rights)",
    405: "it does not take this method (switch WebDAV on at its url)",
    409: "its collection does not exist (set url, or create = true)",
}
FULL = {413: "the image is larger than it allows", 507: "there is no room left"}
#: What urllib3 raises, most special first.
FAILURES = (
    (broken.SSLError, "TLS failed (set ca_bundle; check the name in url)"),
    (broken.NewConnectionError, "it cannot be connected to (set url)"),
    (broken.ConnectTimeoutError, "it could not be connected to in time"),
    (broken.ReadTimeoutError, "it did not answer in time"),
    (broken.HTTPError, "the connection broke"),
)
#: Reads may be asked again, as when an idle connection was closed under us; writes may not.
ONCE_MORE = urllib3.Retry(1, status=0, redirect=False, respect_retry_after_header=False)


class WebdavOptions(StoreOptions):
    """What `store.NAME.*` may say; only `url` has to be there. Times are seconds."""

    url: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[A-Za-z0-9._~-]+)*/?$",
        description="The collection that holds the images; it belongs to this store alone.",
    )
    username: str | None = Field(None, description="The user, for basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="The user's password.")
    ca_bundle: FilePath | None = Field(None, description="A PEM file of CAs; unset: the system's.")
    connect_timeout: float = Field(5, gt=0, description="How long to wait for a connection.")
    read_timeout: float = Field(60, gt=0, description="How long to wait for the next bytes.")


class WebdavStore(Store[WebdavOptions]):
    """One pool of connections for all threads."""

    Options = WebdavOptions
    capabilities = Capability.WRITE | Capability.DELETE | Capability.RANGES

    def __init__(self, name: str, options: WebdavOptions):
        super().__init__(name, options)
        self._base = options.url.rstrip("/") + "/"
        self._headers = {"Accept-Encoding": "identity"}
        if options.username is not None:
            pair = f"{options.username}:{options.password.get_secret_value()}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._pool = urllib3.PoolManager(
            maxsize=32,
            blocksize=BLOCK,
            timeout=urllib3.Timeout(connect=options.connect_timeout, read=options.read_timeout),
            ca_certs=options.ca_bundle and str(options.ca_bundle),
        )

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Stream the file, or a part of it by Range; past its end there is nothing."""
        return WebdavReader(self, self._folder(location) + "image", offset, length)

    def size(self, location: str) -> int | None:
        """What HEAD says."""
        length = self.ask("HEAD", self._folder(location) + "image", 200).headers.get("Content-Length")
        return int(length) if length and length.isdecimal() else None

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Claim the key, send the bytes (chunked when their number is unknown), rename."""
        folder = f"{key}/"
        self._claim(folder)
        try:
            length = {} if size is None else {"Content-Length": str(size)}
            self.ask("PUT", f"{folder}part", 201, 204, body=source, **length)
            target = urlsplit(self._base).path + f"{folder}image"
            self.ask("MOVE", f"{folder}part", 201, 204, Destination=target, Overwrite="F")
            return Stored(SCHEME + key, self.size(SCHEME + key))
        except BaseException:  # even an interrupted upload leaves nothing
            with contextlib.suppress(StoreError):
                self.ask("DELETE", folder, 200, 204)
            raise

    def delete(self, location: str) -> None:
        """Remove the image's collection and all in it."""
        self.ask("DELETE", self._folder(location), 200, 204)

    def locate(self, key: str) -> str:
        return SCHEME + key

    def create(self) -> None:
        """Make the collection; the one that it lies in must be there."""
        self.ask("MKCOL", "", 201, 405)

    def check(self) -> None:
        """Look whether the collection is there, and lets us in."""
        self._see("", REASONS[409])

    def close(self) -> None:
        self._pool.clear()

    def _folder(self, location: str) -> str:
        return key_of(self.name, location, SCHEME) + "/"

    def _claim(self, folder: str) -> None:
        """MKCOL answers 405 for what exists, but so does a server that knows no MKCOL."""
        if self.ask("MKCOL", folder, 201, 405).status == 405:
            self._see(folder, REASONS[405])
            raise Duplicate(self.name, "the key is taken")

    def _see(self, folder: str, otherwise: str) -> None:
        """A server that does not list a collection answers 403, or 405, when it is there."""
        try:
            self.ask("HEAD", folder, 200, 204, 403, 405)
        except BlobNotFound as error:
            raise Unavailable(self.name, otherwise) from error

    def ask(
        self, method: str, path: str, *expected: int, body: Reader | None = None, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """Send one request; the body of a GET's answer is still to be read, and closed."""
        try:
            answer = self._pool.request(
                method,
                self._base + path,
                body=body,
                headers={**self._headers, **headers},
                retries=ONCE_MORE if method in ("GET", "HEAD") else False,
                redirect=False,
                preload_content=method != "GET",
                decode_content=False,
            )
        except broken.HTTPError as error:
            raise _failure(self.name, error) from error
        if answer.status in expected:
            return answer
        answer.close()
        if answer.status == 404:
            raise BlobNotFound(self.name, "nothing is stored there")
        if answer.status in FULL:
            raise StoreFull(self.name, FULL[answer.status])
        raise Unavailable(self.name, REASONS.get(answer.status, f"it answered {answer.status}"))


class WebdavReader(ResumingReader):
    """The bytes of a file; after a break, the server must still have the same file under the same ETag."""

    broken = (broken.HTTPError,)

    def __init__(self, store: WebdavStore, path: str, offset: int, length: int | None):
        self._webdav, self._path, self._etag = store, path, ""
        self._is_whole = offset == 0 and length is None
        super().__init__(store.name, offset, None if length is None else offset + length, retries=1)

    def open(self) -> urllib3.BaseHTTPResponse:
        if self._is_whole and not self.position:
            answer = self._webdav.ask("GET", self._path, 200)
        else:
            last = "" if self.end is None else self.end - 1
            pin = {"If-Match": self._etag} if self._etag else {}
            span = f"bytes={self.position}-{last}"
            answer = self._webdav.ask("GET", self._path, 200, 206, 412, 416, Range=span, **pin)
        etag, begins = answer.headers.get("ETag", ""), answer.headers.get("Content-Range", "")
        if answer.status == 412 or etag != (self._etag or etag):
            answer.close()
            raise BlobChanged(self.store, "the image was replaced while it was read")
        if answer.status == 416:
            self.end = self.position
        elif answer.status == 206 and begins.startswith(f"bytes {self.position}-"):
            self.end = self.position + int(answer.headers["Content-Length"])
        elif not self._is_whole or self.position:
            answer.close()
            raise Unavailable(self.store, "it does not answer ranges as asked")
        elif "Content-Length" in answer.headers:
            self.end = int(answer.headers["Content-Length"])
        self._etag = etag
        return answer

    def failure(self, error: Exception | None) -> StoreError:
        return _failure(self.store, error) if isinstance(error, broken.HTTPError) else super().failure(error)


def _failure(store: str, error: broken.HTTPError) -> Unavailable:
    cause = error.reason if isinstance(error, broken.MaxRetryError) else error
    return Unavailable(store, next(reason for kind, reason in FAILURES if isinstance(cause, kind)))
