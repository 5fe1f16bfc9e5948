"""The server's settings: the name, kind, default and description of each.

They extend waitress's adjustments. The settings that ServerSettings does not declare, such as `listen`,
`unix_socket` or `trusted_proxy`, are waitress's. A value is a number, a boolean or a list, or its text, which
is what PasteDeploy passes.
"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from waitress.adjustments import Adjustments, asbool, asoctal, str_iftruthy

from calotype_server.errors import ServerSettingsError
from calotype_server.kinds import (
    UNIX_PEER,
    addresses,
    count,
    flag,
    mode,
    names,
    process_count,
    proxy,
    proxy_headers,
    seconds,
    size,
)

T = TypeVar("T")

#: The default address to listen on.
LISTEN = "127.0.0.1:9292"
_LAST_PORT = 65535
_WHERE = frozenset({"listen", "host", "port", "sockets", "unix_socket"})
_EVERY_HOST = frozenset({"0.0.0.0", "::"})  # noqa: S104 - only compared, not listened at


class _WrongPlace(ValueError):
    """An address to listen on is not valid. The message already quotes the value."""


class Setting(Generic[T]):
    """A setting, declared as a class attribute of ServerSettings. The instances hold its value.

    `kind` is the function that reads a plain value, or its text: `count`, `size`, `seconds`, `flag`, ...
    """

    def __init__(self, kind: Callable[[Any], T], default: T, description: str, least: int = 0):
        self.kind = kind
        self.default = default
        self.description = description
        self._least = least

    def __get__(self, instance: object, owner: type | None = None) -> T:
        return self.default

    def read(self, value: Any) -> T:
        """Convert and check the value of a setting, which is a Python value or text.

        Raises:
            ValueError: the value is not valid; the message says what a valid value is.
        """
        read = self.kind(value)
        if isinstance(read, (int, float)) and read < self._least:
            raise ValueError(f"must be at least {self._least}")
        return read


class ServerSettings(Adjustments):
    """waitress's adjustments, with more settings and other defaults.

    Raises:
        ServerSettingsError: a setting is unknown or its value is wrong.
    """

    processes = Setting(
        process_count,
        1,
        "Processes that serve, each with all the threads and limits below. `auto`: one for each core that "
        "the service may use. If there is more than one, a further process starts them, replaces those "
        "that die, and reloads on SIGHUP.",
        least=1,
    )
    threads = Setting(count, 16, "Worker threads of each process that run the application.", least=1)
    upload_threads = Setting(
        count, 8, "Further workers for requests whose bodies stream to the application.", least=1
    )
    document_threads = Setting(
        count,
        32,
        "Further workers for documents: streamed bodies whose type is not octet-stream.",
        least=1,
    )
    kept_threads = Setting(
        count,
        4,
        "Further workers of each of these three kinds, for callers without a worker of that "
        "kind, so that one caller cannot keep out the others. A caller is the name that the "
        "application gives for a token, or else an address.",
    )
    upload_wait = Setting[float](
        seconds, 30, "How long a streamed body waits for a worker before the request gets 503, in seconds."
    )
    document_timeout = Setting[float](
        seconds,
        30,
        "How long the server waits for a whole document before the request gets 408, in seconds.",
        least=1,
    )
    blocked_threads = Setting(
        count,
        128,
        "Maximum additional workers that replace workers waiting for slow clients, or for "
        "backends of the application.",
    )
    stream_over = Setting(
        size,
        262144,
        "Bodies with more bytes than this, and chunked ones, are streamed to the application. "
        "Shorter ones are cheaper to read before the application runs.",
    )
    recv_bytes = Setting(
        size,
        262144,
        "Maximum bytes to read at once. With waitress's default of 8 KiB, uploads are half as fast.",
        least=1,
    )
    max_request_body_size = Setting(
        size,
        (1 << 40) + 1,
        "Maximum bytes of a body. The default is above 1 TiB, so that an application can enforce "
        "that limit itself.",
        least=1,
    )
    max_request_header_size = Setting(size, 262144, "Maximum bytes of a request's head.", least=1)
    max_request_headers = Setting(count, 256, "Maximum number of headers of a request.", least=1)
    underscore_headers = Setting[tuple[str, ...]](
        names,
        (),
        "Prefixes of header names in which `_` counts as `-`, such as `x-object-meta-`. All other headers "
        "with `_` in their names are dropped, because they could pass for headers with `-`. A header with "
        "one of these prefixes may occur only once.",
    )
    header_timeout = Setting[float](
        seconds, 5, "How long a head may take from its first byte to its last, in seconds.", least=1
    )
    body_timeout = Setting[float](
        seconds, 60, "How long the server waits for the next byte of a body, in seconds.", least=1
    )
    min_rate = Setting(size, 1024, "Minimum bytes per second of a body while the server waits for it.")
    send_timeout = Setting[float](
        seconds,
        60,
        "How long a client may accept no byte of a response before its connection is cut, in seconds.",
        least=1,
    )
    channel_timeout = Setting[float](
        seconds, 120, "How long to keep an idle connection, in seconds.", least=1
    )
    linger_timeout = Setting[float](
        seconds, 2, "How long a client whose body was refused has to read the response, in seconds."
    )
    drain_timeout = Setting[float](
        seconds,
        30,
        "How long requests have to finish after SIGTERM, in seconds. systemd kills the process "
        "after 90 seconds.",
    )
    reload_timeout = Setting[float](
        seconds, 3600, "How long the requests of older processes have to finish after a reload, in seconds."
    )
    end_timeout = Setting[float](
        seconds,
        10,
        "How long the application has to close after the last request, in seconds. Then the "
        "process ends, even if something hangs.",
        least=1,
    )
    connection_limit = Setting(
        count, 1000, "Maximum connections of each process. Each takes a descriptor and about 10 KiB.", least=1
    )
    connections_per_address = Setting(
        count, 100, "Maximum connections of each process from one address (in IPv6: one /64). 0: no limit."
    )
    uncounted_addresses = Setting(
        addresses,
        frozenset({"127.0.0.1", "::1"}),
        "Addresses without a limit of connections, such as those of proxies. Unix sockets never "
        "have the limit.",
    )
    reuse_port = Setting(
        flag,
        False,
        "Let several services share the port. All of them must set this. One service with several "
        "`processes` does not need it.",
    )
    cleanup_interval = Setting[float](
        seconds, 1, "How often the server checks all these timeouts, in seconds.", least=1
    )
    outbuf_high_watermark = Setting(
        size,
        1048576,
        "Bytes of a response that may wait for the client. At the limit, the application waits.",
        least=1,
    )
    outbuf_overflow = Setting(
        size,
        4194304,
        "Waiting bytes of a response above which a temporary file is used. The default is above "
        "`outbuf_high_watermark`, so that no file is used.",
        least=1,
    )
    clear_untrusted_proxy_headers = Setting(
        flag, True, "Remove the headers that proxies set, unless they come from `trusted_proxy`."
    )
    ident = Setting[str | None](str_iftruthy, None, "The Server header. Unset: none.")

    #: The settings that this class declares, by name, in the order of their declaration.
    declared: ClassVar[dict[str, Setting[Any]]]
    _param_map: ClassVar[dict[str, Callable[[Any], Any]]]

    def __init__(self, **given: Any):
        if not _WHERE & given.keys():
            given["listen"] = LISTEN
        for name, value in given.items():
            _check(name, value)
        if given.get("trusted_proxy") == UNIX_PEER and not given.get("unix_socket"):
            reason = f"must be an IP address, such as 127.0.0.1, not the name {UNIX_PEER!r}"
            raise ServerSettingsError(f"trusted_proxy of the server: {reason}", "trusted_proxy", reason)
        try:
            super().__init__(**{name: one.default for name, one in self.declared.items()} | given)
        except ValueError as error:
            raise _refused_by_waitress(error, given) from None

    @cached_property
    def underscore_prefixes(self) -> tuple[bytes, ...]:
        """`underscore_headers` in lower case, as bytes."""
        return tuple(prefix.lower().encode("latin-1") for prefix in self.underscore_headers)

    @classmethod
    def known(cls) -> list[str]:
        """Return the names of all settings, waitress's included."""
        return list(cls._param_map)

    def changed(self, **values: Any) -> ServerSettings:
        """Return a copy with these values, which are not checked."""
        settings = copy.copy(self)
        settings.__dict__.update(values)
        return settings

    def listening_at(self, where: str) -> ServerSettings:
        """Return a copy that listens elsewhere: at HOST:PORT or at unix:PATH.

        Raises:
            ServerSettingsError: `where` is not valid.
        """
        kind, _, path = where.partition(":")
        place = ServerSettings(**({"unix_socket": path} if kind == "unix" else {"listen": where}))
        return self.changed(listen=place.listen, unix_socket=place.unix_socket, sockets=[])

    def places(self) -> list[tuple[str, int | None]]:
        """Return the hosts and ports to listen on. For a Unix socket, they are its path and None."""
        if self.unix_socket:
            return [(self.unix_socket, None)]
        named = [given.getsockname() for given in self.sockets] or [sockaddr for *_, sockaddr in self.listen]
        return [(name, None) if isinstance(name, str) else name[:2] for name in named]

    def beyond_loopback(self) -> Iterator[str]:
        """Yield the addresses to listen on that other machines can reach."""
        for host, port in self.places():
            if port is not None:
                address = ipaddress.ip_address(host.partition("%")[0])
                if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
                    yield host

    def overlaps(self, other: ServerSettings) -> bool:
        """Return whether both settings listen on the same address or Unix socket."""
        return any(
            port == other_port != 0 and (host == other_host or (port and _is_within(host, other_host)))
            for host, port in self.places()
            for other_host, other_port in other.places()
        )


def _is_within(host: str, other_host: str) -> bool:
    """Return whether one host is the wildcard address of a family, and the other is of the same family."""
    return bool({host, other_host} & _EVERY_HOST) and (":" in host) is (":" in other_host)


def _check(name: str, value: Any) -> None:
    """Raise ServerSettingsError if there is no such setting, or if the value is not valid for it."""
    if name not in ServerSettings._param_map:
        raise ServerSettingsError(f"unknown setting {name} of the server", name)
    try:
        if name == "listen":
            _check_places(value)
        elif name == "port":
            _check_port(str(value).strip())
        else:
            ServerSettings._param_map[name](value)
    except (TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, _WrongPlace) else f"{error}, not {value!r}"
        raise ServerSettingsError(f"{name} of the server: {reason}", name, reason) from None


def _check_places(value: str | Iterable[str]) -> None:
    """Require HOST:PORT for each address. Without a port, waitress would listen on its default, 8080."""
    for where in names(value):
        host, colon, port = where.rpartition(":")
        if not (host and colon) or where.endswith("]"):
            raise _WrongPlace(f"must be HOST:PORT, such as {LISTEN}, not {where!r}")
        _check_port(port, f" in {where!r}")


def _check_port(text: str, within: str = "") -> None:
    """Require a valid port, because the system would reduce a larger number to its last 16 bits."""
    if not (text.isascii() and text.isdecimal() and int(text) <= _LAST_PORT):
        raise _WrongPlace(
            f"a port must be a number from 1 to {_LAST_PORT}, or 0 for any that is free, not {text!r}{within}"
        )


def _refused_by_waitress(error: ValueError, given: dict[str, Any]) -> ServerSettingsError:
    """Return the error for a combination that waitress refuses, or for a host that it cannot look up."""
    if "Invalid host/port" not in str(error):
        named = [name for name in sorted(given, key=len) if name in str(error)]
        return ServerSettingsError(f"settings of the server: {error}", named[-1] if named else "")
    key = next(name for name in ("listen", "host", "port") if name in given)
    reason = (
        f"a host in {str(given[key])!r} has no address: write an address of this machine, "
        "such as 127.0.0.1, or a name of this machine"
    )
    return ServerSettingsError(f"{key} of the server: {reason}", key, reason)


ServerSettings.declared = {
    name: setting for name, setting in vars(ServerSettings).items() if isinstance(setting, Setting)
}
ServerSettings._param_map = {
    **{name: {asbool: flag, int: count, asoctal: mode}.get(cast, cast) for name, cast in Adjustments._params},
    **{name: setting.read for name, setting in ServerSettings.declared.items()},
    "trusted_proxy": proxy,
    "trusted_proxy_headers": proxy_headers,
}
