"""Surroundings of a victim: other stores than files, and other identities than none."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.fixtures import given_or_started, started
from tests.support.callers import Tokens

#: The names of surroundings. Without one, images are in files and there is no identity.
NAMES = ("tokens", "S3", "S3 over TLS", "Swift", "Ceph")
#: Short timeouts.
_SOON = {"connect_timeout": "1", "read_timeout": "2", "retries": "1"}
#: Parts as small as S3 allows, and similar ones in Swift.
_SMALL = {
    "s3": {"part_size": "5MiB", "multipart_threshold": "1MiB"},
    "swift": {"segment_size": "4MiB", "single_object_max": "1MiB"},
}


@dataclass(frozen=True)
class Given:
    """The settings of one victim, and the headers of all its clients."""

    settings: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """Surroundings with running servers.

    `s3` or `swift` holds the options of the store `fast` if it is there.
    """

    name: str = ""
    s3: Mapping[str, str] = field(default_factory=dict)
    swift: Mapping[str, str] = field(default_factory=dict)
    tokens: bool = False

    def make(self, folder: Path) -> Given:
        """Return the settings and headers of a new victim, with a bucket and a token of its own."""
        given = Given({}, {})
        if self.s3:
            given.settings.update(_fast("s3", {**self.s3, "bucket": f"t{uuid.uuid4().hex}"}))
        if self.swift:
            given.settings.update(_fast("swift", {**self.swift, "container": f"t{uuid.uuid4().hex}"}))
        if self.tokens:
            tokens = Tokens(folder)
            given.headers["X-Auth-Token"] = tokens.add("operator", "default", ("admin",))
            given.settings.update(tokens.settings)
        return given

    @property
    def over_http(self) -> bool:
        """Return whether the images are in a backend without TLS, so that a proxy can be put before it."""
        return self.s3.get("endpoint_url", self.swift.get("auth_url", "")).startswith("http:")

    def title(self, what: str) -> str:
        """Return the name of a row of the table."""
        return f"{what}, {self.name}" if self.name else what


#: Files and no identity.
PLAIN = Surroundings()


def _fast(driver: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a service whose store `fast` has this driver."""
    own = {"driver": driver, "create": "true", "path": "", **_SOON, **_SMALL[driver], **options}
    return {f"store.fast.{name}": value for name, value in own.items()}


def options_of(server: Mapping[str, str], **others: str) -> dict[str, str]:
    """Return the options that lead to an S3 server."""
    return {
        "endpoint_url": server["S3_ENDPOINT"],
        "region": server["S3_REGION"],
        "access_key": server["S3_ACCESS_KEY"],
        "secret_key": server["S3_SECRET_KEY"],
        **others,
    }


def swift_options_of(server: Mapping[str, str]) -> dict[str, str]:
    """Return the options that lead to a Swift with its own passwords."""
    return {
        "auth_version": "1",
        "auth_url": server["SWIFT_AUTH_URL"],
        "user": server["SWIFT_USER"],
        "key": server["SWIFT_KEY"],
    }


@contextlib.contextmanager
def swift() -> Iterator[Mapping[str, str]]:
    """Yield the settings of a Swift with its S3 API, which runs until the block ends."""
    with given_or_started("swift", "S3_TLS_ENDPOINT", {"KEYSTONE_URL": ""}) as settings:
        yield settings


@contextlib.contextmanager
def running(name: str) -> Iterator[Surroundings]:
    """Yield the surroundings with this name, whose servers run until the block ends."""
    with contextlib.ExitStack() as stack:
        if name == "tokens":
            yield Surroundings(name, tokens=True)
        elif name == "Ceph":
            yield Surroundings(name, options_of(stack.enter_context(started("ceph"))))
        elif name == "S3":
            yield Surroundings(name, options_of(stack.enter_context(swift())))
        elif name == "Swift":
            yield Surroundings(name, swift=swift_options_of(stack.enter_context(swift())))
        else:
            server = stack.enter_context(swift())
            over_tls = {"endpoint_url": server["S3_TLS_ENDPOINT"], "ca_bundle": server["SWIFT_CACERT"]}
            yield Surroundings(name, options_of(server, **over_tls))
