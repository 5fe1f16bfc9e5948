"""Images in a WebDAV collection (RFC 4918), as nginx and Apache serve one.

Each image is a collection with one file: `KEY/image`. Creating the collection claims the key, because MKCOL
is exclusive on every server. MOVE with `Overwrite: F` is not: nginx checks first and then renames. The bytes
are written to `KEY/part`, which is renamed when it is complete. After a failure, deleting `KEY/` undoes
everything, and a late PUT finds no collection.
"""

from __future__ import annotations

import base64
import contextlib
from urllib.parse import urlsplit

import urllib3
from pydantic import Field, FilePath, SecretStr
from urllib3 import exceptions as broken

from calotype.stores import Reader, Stored, StoreOptions, WritableStore
from calotype.stores.errors import BlobChanged, BlobNotFound, Duplicate, StoreError, StoreFull, Unavailable
from calotype.stores.toolkit import ResumingReader, key_of

SCHEME = "dav:"
BLOCK = 1 << 20
#: HTTP status -> the reason in the error.
REASONS = {
    401: "it refuses our credentials (set username and password)",
    403: "it does not allow this (set username and password; check the server's rights)",
    405: "it does not take this method (switch WebDAV on at its url)",
    409: "its collection does not exist (set url, or create = true)",
}
FULL = {413: "the image is larger than it allows", 507: "there is no room left"}
#: Errors of urllib3, subclasses first.
FAILURES = (
    (broken.SSLError, "TLS failed (set ca_bundle; check the name in url)"),
    (broken.NewConnectionError, "it cannot be connected to (set url)"),
    (broken.ConnectTimeoutError, "it could not be connected to in time"),
    (broken.ReadTimeoutError, "it did not answer in time"),
    (broken.HTTPError, "the connection broke"),
)
#: Reads are sent again, for instance if the server has closed an idle connection. Writes are not.
ONCE_MORE = urllib3.Retry(1, status=0, redirect=False, respect_retry_after_header=False)


class WebdavOptions(StoreOptions):
    """The options `store.NAME.*`; only `url` is required. Times are in seconds."""

    url: str = Field(
        pattern=r"^https?://[^\s/?#@]+(/[A-Za-z0-9._~-]+)*/?$",
        description="The collection that holds the images; it belongs to this store alone.",
    )
    username: str | None = Field(None, description="The user, for basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="The user's password.")
    ca_bundle: FilePath | None = Field(None, description="A PEM file of CAs; unset: the system's.")
    connect_timeout: float = Field(5, gt=0, description="How long to wait for a connection.")
    read_timeout: float = Field(60, gt=0, description="How long to wait for the next bytes.")


class WebdavStore(WritableStore[WebdavOptions]):
    """Images in one collection. All threads share one pool of connections."""

    Options = WebdavOptions
    api_version = (2, 0)
    ranges = True

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
        """Open the file, or a range of it, which is empty beyond the end of the file."""
        return WebdavReader(self, self._folder(location) + "image", offset, length)

    def size(self, location: str) -> int | None:
        length = self.ask("HEAD", self._folder(location) + "image", 200).headers.get("Content-Length")
        return int(length) if length and length.isdecimal() else None

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Claim the key, send the bytes (chunked if their number is unknown), and rename the file."""
        folder = f"{key}/"
        self._claim(folder)
        try:
            length = {} if size is None else {"Content-Length": str(size)}
            self.ask("PUT", f"{folder}part", 201, 204, body=source, **length)
            target = urlsplit(self._base).path + f"{folder}image"
            self.ask("MOVE", f"{folder}part", 201, 204, Destination=target, Overwrite="F")
            return Stored(SCHEME + key, self.size(SCHEME + key))
        except BaseException:  # an interrupted upload leaves nothing, either
            with contextlib.suppress(StoreError):
                self.ask("DELETE", folder, 200, 204)
            raise

    def delete(self, location: str) -> None:
        self.ask("DELETE", self._folder(location), 200, 204)

    def locate(self, key: str) -> str:
        return SCHEME + key

    def create(self) -> None:
        self.ask("MKCOL", "", 201, 405)

    def check(self) -> None:
        self._see("", REASONS[409])

    def close(self) -> None:
        self._pool.clear()

    def _folder(self, location: str) -> str:
        return key_of(self.name, location, SCHEME) + "/"

    def _claim(self, folder: str) -> None:
        """Create the image's collection. A 405 means that it exists, or that there is no MKCOL."""
        if self.ask("MKCOL", folder, 201, 405).status == 405:
            self._see(folder, REASONS[405])
            raise Duplicate(self.name, "the key is taken")

    def _see(self, folder: str, otherwise: str) -> None:
        """Check that a collection exists: a server that cannot list it answers 403 or 405."""
        try:
            self.ask("HEAD", folder, 200, 204, 403, 405)
        except BlobNotFound as error:
            raise Unavailable(self.name, otherwise) from error

    def ask(
        self, method: str, path: str, *expected: int, body: Reader | None = None, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """Send one request. The caller must read and close the answer to a GET."""
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
            if path:
                self.check()  # if the collection is missing, nobody knows whether the image exists
            raise BlobNotFound(self.name, "nothing is stored there")
        if answer.status in FULL:
            raise StoreFull(self.name, FULL[answer.status])
        raise Unavailable(self.name, REASONS.get(answer.status, f"it answered {answer.status}"))


class WebdavReader(ResumingReader):
    """A reader of a file. After a broken connection, it resumes only if the ETag is unchanged."""

    broken = (broken.HTTPError,)

    def __init__(self, store: WebdavStore, path: str, offset: int, length: int | None):
        self._webdav, self._path, self._etag, self._is_whole = store, path, "", not offset and length is None
        super().__init__(store.name, offset, None if length is None else offset + length, retries=1)

    def open(self) -> urllib3.BaseHTTPResponse:
        wanted = {"If-Match": self._etag} if self._etag else {}
        if self.position or not self._is_whole:
            wanted["Range"] = f"bytes={self.position}-{'' if self.end is None else self.end - 1}"
        answer = self._webdav.ask("GET", self._path, 200, 206, 412, 416, **wanted)
        etag, begins = answer.headers.get("ETag", ""), answer.headers.get("Content-Range", "")
        if answer.status == 412 or etag != (self._etag or etag):
            answer.close()
            raise BlobChanged(self.store, "the image was replaced while it was read")
        empty = answer.headers.get("Content-Length") == "0"  # an empty file has no ranges
        self._etag = etag
        self.retries *= bool(etag)  # without one, another file would not be noticed
        if answer.status == 416:
            self.end = self.position
        elif "Range" in wanted and not begins.startswith(f"bytes {self.position}-") and not empty:
            answer.close()
            raise Unavailable(self.store, "it does not answer with the requested range")
        elif "Content-Length" in answer.headers:
            self.end = self.position + int(answer.headers["Content-Length"])
        return answer

    def failure(self, error: Exception | None) -> StoreError:
        return _failure(self.store, error) if isinstance(error, broken.HTTPError) else super().failure(error)


def _failure(store: str, error: broken.HTTPError) -> Unavailable:
    cause = error.reason if isinstance(error, broken.MaxRetryError) else error
    return Unavailable(store, next(reason for kind, reason in FAILURES if isinstance(cause, kind)))
