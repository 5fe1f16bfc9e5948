"""HttpStore: a read-only store whose blobs are on web servers that others operate."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import logging
import ssl
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import ByteSize, Field, StringConstraints

from calotype.egress import (
    Answer,
    BadAnswer,
    BadStatus,
    Egress,
    EgressError,
    EgressPolicy,
    Resolver,
    Unreachable,
    parse,
    resolve,
)
from calotype.stores import (
    BadLocation,
    BlobChanged,
    DirectUrl,
    External,
    Misconfigured,
    Opened,
    Reader,
    Seconds,
    Size,
    Store,
    Stored,
    StoreError,
    StoreOptions,
)
from calotype.stores.toolkit import retry_after
from calotype_store_http.reading import CHANGED, Reading, SourceReader
from calotype_store_http.source import Source, describe, first_byte

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Port = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9.-]{1,253}$")]

#: Maximum length of a URL in a location, in characters. It leaves room for the validators.
KEPT_URL_MAX = 1000


class HttpOptions(StoreOptions):
    """The allowed sources, timeouts and limits; see README.md."""

    schemes: tuple[Literal["https", "http"], ...] = Field(
        ("https", "http"), min_length=1, description="URI schemes that clients may use"
    )
    ports: tuple[Port, ...] = Field((80, 443), min_length=1, description="allowed ports")
    allowed_networks: tuple[Network, ...] = Field(
        (), description="networks that are allowed although they are not public"
    )
    allowed_hosts: tuple[Host, ...] = Field(
        (),
        examples=["mirror.example.com"],
        description="names that are allowed whatever they resolve to; their DNS is trusted",
    )
    denied_networks: tuple[Network, ...] = Field(
        (), description="networks that are refused although they are public, such as this service's own"
    )
    max_redirects: int = Field(
        3, ge=0, le=10, description="maximum redirects to follow, each checked like the first URL"
    )
    connect_timeout: Seconds = Field(5, gt=0, description="seconds to connect to an address")
    read_timeout: Seconds = Field(60, gt=0, description="seconds to wait for a response, or for more bytes")
    min_rate: Size = Field(
        ByteSize(16384), ge=1, description="bytes per second below which a source is abandoned"
    )
    retries: int = Field(3, ge=0, le=10, description="how often an interrupted download is continued")
    ca_bundle: str | None = Field(None, description="file of CA certificates (default: the system's)")
    verify: bool = Field(True, description="check certificates; false only for tests")

    def policy(self) -> EgressPolicy:
        """Return these options as a policy of `calotype.egress`."""
        names = EgressPolicy.__dataclass_fields__
        return EgressPolicy(**{name: value for name, value in self if name in names})


class HttpStore(Store[HttpOptions], External, DirectUrl):
    """Images that are read from their sources; `calotype.egress` checks every connection anew."""

    api_version = (2, 0)
    Options = HttpOptions
    schemes: tuple[str, ...] = ("https", "http")
    ranges = True

    def __init__(self, name: str, options: HttpOptions, resolver: Resolver = resolve):
        """Keep the options. `resolver` returns the addresses of a name; tests use their own."""
        super().__init__(name, options)
        self.schemes = options.schemes
        if not options.verify:
            log.warning("store '%s': certificates of sources are not checked (option verify)", name)
        self._for_namer = Reading(name, options.retries, to_its_namer=True)
        self._for_reader = Reading(name, options.retries, to_its_namer=False)
        policy = options.policy()
        self._egress = Egress(policy, resolver)
        self._public = Egress(replace(policy, allowed_networks=(), allowed_hosts=()), resolver)

    def check_uri(self, uri: str) -> None:
        """Refuse a URL whose form, scheme, port or address the options forbid, without a look-up."""
        with self._for_namer.errors():
            self._egress.check_form(uri)

    def register(self, uri: str) -> Stored:
        """Request one byte of the source, and keep its validators in the location.

        Raises:
            BadLocation: the URL must not be fetched, or the source's answers cannot be used.
            BlobNotFound: the source does not have the bytes, or refuses to send them.
            Unavailable: the source cannot be reached now.
        """
        if len(uri) > KEPT_URL_MAX:
            raise BadLocation(
                self.name,
                f"the URL has {len(uri)} characters, and an external location may have at most "
                f"{KEPT_URL_MAX}: import the image, so that its bytes are copied",
            )
        with self._for_namer.errors():
            source = self._look(uri, {})
        return Stored(source.written(), source.size)

    def open_uri(self, uri: str) -> Opened:
        """Open the source to read all of it once, with a single request unless the connection breaks.

        A redirect may lead each request to another mirror with other validators: see `_resume`.

        Raises:
            BadLocation, BlobNotFound, Unavailable: see `register`.
        """
        with self._for_namer.errors():
            answer = self._ask(uri, {}, endless=True)
            try:
                source = describe(answer.url, answer)
                self._skip(answer, -first_byte(answer))
            except BaseException:
                answer.close()
                raise
            opened = [answer]

            def fetch(position: int) -> Answer:
                return opened.pop() if opened else self._resume(source, uri, position)

            return Opened(SourceReader(self._for_namer, source, fetch, 0, source.size), source.size)

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open the source at `offset`. If it does not support ranges, read and drop the bytes before that.

        Raises:
            BlobChanged: the size, ETag or Last-Modified differs from the registered one.
            BlobNotFound, BadLocation, Unavailable: see `register`.
        """
        source = self._source(location)
        if source.size is not None and 0 < offset >= source.size:
            self.size(location)
            return io.BytesIO()
        size = source.size
        end = size if length is None else offset + length if size is None else min(size, offset + length)

        def fetch(position: int) -> Answer:
            return self._fetch(source, position, end)

        with self._for_reader.errors():
            return SourceReader(self._for_reader, source, fetch, offset, None if size is None else end)

    def size(self, location: str) -> int | None:
        """Return the size in bytes if the source is unchanged; raises what `get` raises."""
        source = self._source(location)
        with self._for_reader.errors():
            now = self._look(source.url, source.conditions())
        self._hold_to(source, now)
        return now.size if source.size is None else source.size

    def direct_url(self, location: str, expires: int) -> str | None:
        """Return the source's own URL; None if its address is private, so that clients may not reach it."""
        source = self._source(location)
        try:
            self._public.check(source.url)
        except EgressError:
            return None
        return source.url

    def check(self) -> None:
        """Check that the CA certificates can be read. There is no server to contact."""
        try:
            ssl.create_default_context(cafile=self.options.ca_bundle)
        except OSError as error:
            raise Misconfigured(self.name, "the file of option ca_bundle holds no certificates") from error

    def _source(self, location: str) -> Source:
        try:
            return Source.read(location)
        except ValueError as error:
            raise BadLocation(self.name, "not a location that this store has written") from error

    def _look(self, url: str, conditions: dict[str, str]) -> Source:
        """Request one byte, and describe the source. Many servers refuse HEAD requests."""
        with contextlib.closing(self._ask(url, {**conditions, "Range": "bytes=0-0"})) as answer:
            return describe(url, answer)

    def _resume(self, source: Source, uri: str, position: int) -> Answer:
        """Resume at the mirror that answered first, or otherwise at the URI, which may redirect elsewhere.

        Raises:
            Unreachable: neither sends the bytes of the first answer.
        """
        for url in dict.fromkeys((source.url, parse(uri).url)):
            with contextlib.suppress(StoreError, EgressError):
                return self._fetch(source.model_copy(update={"url": url}), position, source.size)
        raise Unreachable("broke off, and could not be continued with the same bytes", parse(source.url).host)

    def _fetch(self, source: Source, position: int, end: int | None) -> Answer:
        """Open the registered source so that the next byte is the one at `position`."""
        headers = source.conditions()
        if position or end != source.size:
            headers["Range"] = f"bytes={position}-{'' if end is None or end <= position else end - 1}"
        answer = self._ask(source.url, headers)
        try:
            self._hold_to(source, describe(source.url, answer))
            self._skip(answer, position - first_byte(answer))
        except BaseException:
            answer.close()
            raise
        return answer

    def _skip(self, answer: Answer, count: int) -> None:
        """Read and drop bytes, because a source without ranges begins with its first byte."""
        if count < 0:
            raise BadAnswer("answers with a range that begins after the requested byte", answer.host)
        while count and (block := answer.read(count)):
            count -= len(block)

    def _hold_to(self, source: Source, now: Source) -> None:
        if not source.is_still(now):
            raise BlobChanged(self.name, CHANGED)

    def _ask(self, url: str, headers: dict[str, str], *, endless: bool = False) -> Answer:
        """Return an answer with status 200 or 206; any other status is an error."""
        answer = self._egress.open("GET", url, headers, endless=endless)
        if answer.status in (200, 206):
            return answer
        answer.close()
        if answer.status == 416 and "Range" in headers:  # an empty source has no first byte
            return self._ask(url, {name: value for name, value in headers.items() if name != "Range"})
        raise BadStatus(answer.status, answer.host, retry_after(answer.headers.get("Retry-After")))
