"""The server's settings: name, kind, default and meaning of each.

They extend waitress's adjustments. A setting that ServerSettings does not declare, such as `listen`,
`unix_socket` or `trusted_proxy`, is waitress's and keeps its meaning. Values are plain: numbers, booleans and
lists, or their text, as PasteDeploy gives it.
"""

from __future__ import annotations

import copy
import ipaddress
import math
import socket
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from waitress.adjustments import Adjustments, asbool, str_iftruthy

from calotype_server.errors import ServerSettingsError

T = TypeVar("T")

#: Where the server listens when no setting says so.
LISTEN = "127.0.0.1:9292"
_LAST_PORT = 65535
_WHERE = frozenset({"listen", "host", "port", "sockets", "unix_socket"})
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})


class _WrongPlace(ValueError):
    """A place to listen at is wrong; the message shows the value."""


def count(value: Any) -> int:
    """Read a whole number."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError("must be a whole number") from None


def size(value: Any) -> int:
    """Read a number of bytes."""
    return count(value)


def seconds(value: Any) -> float:
    """Read a number of seconds."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number of seconds")
    return number


def flag(value: Any) -> bool:
    """Read a boolean; refuse text that waitress's own cast would take for false."""
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text in _TRUE


def names(value: str | Iterable[str]) -> tuple[str, ...]:
    """Read names, given as text with blanks between them or one by one."""
    return tuple(value.split() if isinstance(value, str) else value)


def addresses(value: str | Iterable[str]) -> frozenset[str]:
    """Read IP addresses, given as `names` are."""
    return frozenset(str(ipaddress.ip_address(address)) for address in names(value))


class Setting(Generic[T]):
    """One setting, declared as an attribute of ServerSettings, of which an instance has the value.

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
        """Return the value.

        Raises:
            ValueError: it is wrong; the message says what it must be.
        """
        read = self.kind(value)
        if isinstance(read, (int, float)) and read < self._least:
            raise ValueError(f"must be at least {self._least}")
        return read


class ServerSettings(Adjustments):
    """waitress's adjustments with further settings and other defaults.

    Raises:
        ServerSettingsError: a setting is unknown or its value is wrong.
    """

    threads = Setting(count, 16, "Worker threads that run the application.", least=1)
    upload_threads = Setting(
        count, 8, "Further workers for requests whose bodies stream to the application.", least=1
    )
    document_threads = Setting(
        count,
        32,
        "Further workers for documents: streamed bodies of another type than octet-stream.",
        least=1,
    )
    kept_threads = Setting(
        count,
        4,
        "Further workers of each of these three kinds, for callers who have none of that kind, so that one "
        "caller cannot keep out the others. A caller is the name that the application gives for a token, or "
        "else an address.",
    )
    upload_wait = Setting[float](
        seconds, 30, "How long a streamed body waits for a worker before the request gets 503, in seconds."
    )
    document_timeout = Setting[float](
        seconds, 30, "How long the server waits for a document in all before 408, in seconds.", least=1
    )
    blocked_threads = Setting(
        count,
        128,
        "Workers replaced while they wait for slow readers, or for what the application waits for.",
    )
    stream_over = Setting(
        size, 262144, "Longer bodies stream, and chunked ones. Shorter ones are cheaper when read first."
    )
    recv_bytes = Setting(
        size, 262144, "Bytes read at once. With waitress's 8 KiB, uploads are half as fast.", least=1
    )
    max_request_body_size = Setting(
        size, (1 << 40) + 1, "Longest body. Above 1 TiB, so that an application may set that limit.", least=1
    )
    max_request_header_size = Setting(size, 262144, "Longest head of a request.", least=1)
    max_request_headers = Setting(count, 256, "Most headers of a request.", least=1)
    underscore_headers = Setting[tuple[str, ...]](
        names,
        (),
        "Prefixes of header names in which `_` counts as `-`, such as `x-object-meta-`. All other headers "
        "with `_` in their names are dropped, because they could pass for headers with `-`. A header with "
        "one of these prefixes may come only once.",
    )
    header_timeout = Setting[float](
        seconds, 5, "How long a head may take from its first byte to its last, in seconds.", least=1
    )
    body_timeout = Setting[float](
        seconds, 60, "How long the server waits for the next byte of a body, in seconds.", least=1
    )
    min_rate = Setting(size, 1024, "Bytes a second that a body must bring while the server waits for it.")
    send_timeout = Setting[float](
        seconds, 60, "How long a client may take no byte of a response before it is cut, in seconds.", least=1
    )
    channel_timeout = Setting[float](
        seconds, 120, "How long to keep an idle connection, in seconds.", least=1
    )
    linger_timeout = Setting[float](
        seconds, 2, "How long a client whose body was refused gets to read the answer, in seconds."
    )
    drain_timeout = Setting[float](
        seconds, 30, "How long requests get to finish after SIGTERM, in seconds. systemd kills after 90."
    )
    end_timeout = Setting[float](
        seconds,
        10,
        "How long the application gets to close after that, in seconds. Then the process ends, even if "
        "something hangs.",
        least=1,
    )
    connection_limit = Setting(
        count, 1000, "Most connections. Each costs a descriptor and some 10 KiB.", least=1
    )
    connections_per_address = Setting(
        count, 100, "Most connections from one address (in IPv6: from one /64). 0: any number."
    )
    uncounted_addresses = Setting(
        addresses,
        frozenset({"127.0.0.1", "::1"}),
        "Addresses without that limit, such as proxies'. Unix sockets never have it.",
    )
    reuse_port = Setting(flag, False, "Whether several processes may share the port, if all set this.")
    cleanup_interval = Setting[float](
        seconds, 1, "How often all these deadlines are checked, in seconds.", least=1
    )
    outbuf_high_watermark = Setting(
        size,
        1048576,
        "Bytes of a response that may wait for their reader; then the application waits.",
        least=1,
    )
    outbuf_overflow = Setting(
        size,
        4194304,
        "Bytes of a response from which on a file is used. Above the watermark, so that none does.",
        least=1,
    )
    clear_untrusted_proxy_headers = Setting(
        flag, True, "Whether to remove proxies' headers unless they come from `trusted_proxy`."
    )
    ident = Setting[str | None](str_iftruthy, None, "The Server header. Unset, there is none.")

    #: The settings that this class declares, by name and in this order.
    declared: ClassVar[dict[str, Setting[Any]]]
    _param_map: ClassVar[dict[str, Callable[[Any], Any]]]

    def __init__(self, **given: Any):
        if not _WHERE & given.keys():
            given["listen"] = LISTEN
        for name, value in given.items():
            _check(name, value)
        try:
            super().__init__(**{name: one.default for name, one in self.declared.items()} | given)
        except ValueError as error:
            raise _refused_by_waitress(error, given) from None

    @cached_property
    def underscore_prefixes(self) -> tuple[bytes, ...]:
        """`underscore_headers` as they begin a line."""
        return tuple(prefix.lower().encode("latin-1") for prefix in self.underscore_headers)

    @classmethod
    def known(cls) -> list[str]:
        """Return the names of all settings, waitress's included."""
        return list(cls._param_map)

    def changed(self, **values: Any) -> ServerSettings:
        """Return a copy with other values, which are not checked."""
        settings = copy.copy(self)
        settings.__dict__.update(values)
        return settings

    def listening_at(self, where: str) -> ServerSettings:
        """Return the same settings for another place to listen at: HOST:PORT, or unix:PATH.

        Raises:
            ServerSettingsError: it is not such a place.
        """
        kind, _, path = where.partition(":")
        place = ServerSettings(**({"unix_socket": path} if kind == "unix" else {"listen": where}))
        return self.changed(listen=place.listen, unix_socket=place.unix_socket, sockets=[])

    def beyond_loopback(self) -> Iterator[str]:
        """Yield the addresses to listen on that other machines can reach."""
        is_tcp = not (self.sockets or self.unix_socket)
        hosts = [sockaddr[0] for *_, sockaddr in self.listen] if is_tcp else []
        internet = (listener for listener in self.sockets if listener.family != socket.AF_UNIX)
        for host in (*hosts, *(listener.getsockname()[0] for listener in internet)):
            address = ipaddress.ip_address(host.partition("%")[0])
            if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
                yield host


def _check(name: str, value: Any) -> None:
    """Raise ServerSettingsError if there is no such setting, or it cannot have this value."""
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
    """Refuse HOST:PORT with a wrong port. A host may stand alone; an IPv6 address stands in brackets."""
    for where in names(value):
        if where.isdecimal():  # the system would take it for an address
            raise _WrongPlace(f"it must be HOST:PORT, as {LISTEN}, not {where!r}")
        if ":" in where and not where.endswith("]"):
            _check_port(where.rpartition(":")[2], f" in {where!r}")


def _check_port(text: str, within: str = "") -> None:
    """Refuse anything but a port, because the system would take the last 16 bits of a larger number."""
    if not (text.isascii() and text.isdecimal() and int(text) <= _LAST_PORT):
        raise _WrongPlace(
            f"a port must be a number from 1 to {_LAST_PORT}, or 0 for any that is free, not {text!r}{within}"
        )


def _refused_by_waitress(error: ValueError, given: dict[str, Any]) -> ServerSettingsError:
    """Return the error for settings that waitress refuses together, or whose host it cannot look up."""
    key = next((name for name in ("listen", "host", "port") if name in given), "")
    if "Invalid host/port" not in str(error):
        return ServerSettingsError(f"settings of the server: {error}", key)
    reason = (
        f"a host in {str(given[key])!r} has no address: write an address of this machine, "
        "as 127.0.0.1, or a name of it"
    )
    return ServerSettingsError(f"{key} of the server: {reason}", key, reason)


ServerSettings.declared = {
    name: setting for name, setting in vars(ServerSettings).items() if isinstance(setting, Setting)
}
ServerSettings._param_map = {
    name: {asbool: flag, int: count}.get(cast, cast) for name, cast in Adjustments._params
} | {name: setting.read for name, setting in ServerSettings.declared.items()}
