"""Every tunable of the server, once: its key below `[server:main]`, type, default, and why that default.

They are waitress's own adjustments and ours beside them, in one object. Those that
TUNABLES does not list (`listen`, `host`, `port`, `unix_socket`, `trusted_proxy`, ...)
are waitress's and keep its meaning; a key that neither knows stops the start.
"""

from __future__ import annotations

import copy
import ipaddress
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from waitress.adjustments import Adjustments, asbool, str_iftruthy

from calotype.config.messages import did_you_mean, quoted
from calotype.config.quantities import parse_seconds, parse_size

#: Where to listen when the ini file does not say.
LISTEN = "127.0.0.1:9292"
_LAST_PORT = 65535
_WHERE = frozenset({"listen", "host", "port", "sockets", "unix_socket"})


class ServerError(Exception):
    """The server cannot start, in one sentence."""


class ServerSettingsError(ServerError):
    """A tunable is unknown or has a wrong value: one sentence that names it.

    `reason` is the sentence without the tunable's name.
    """

    def __init__(self, sentence: str, key: str = "", reason: str = ""):
        super().__init__(sentence)
        self.key = key
        self.reason = reason or sentence


class _WrongPlace(ValueError):
    """A place to listen at is wrong: all that is to be said, with the value."""


def at_least(least: int) -> Callable[[Any], int]:
    """A cast to int that refuses what is below `least`."""

    def cast(value: Any) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if number < least:
            raise ValueError(f"must be at least {least}")
        return number

    return cast


def boolean(value: Any) -> bool:
    """A cast to bool that refuses what waitress's own would take for false."""
    text = str(value).strip().lower()
    if text not in ("true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"):
        raise ValueError("must be true or false")
    return text[0] in "ty1" or text == "on"


def size(least: int) -> Callable[[Any], int]:
    """A cast to a number of bytes that refuses what is below `least`."""
    return _bounded(parse_size, least)


def seconds(least: int) -> Callable[[Any], float]:
    """A cast to a number of seconds that refuses what is below `least`."""
    return _bounded(parse_seconds, least)


def _bounded(parse: Callable[[Any], float], least: int) -> Callable[[Any], Any]:
    def cast(value: Any) -> Any:
        if (number := parse(value)) < least:
            raise ValueError(f"must be at least {least}")
        return int(number) if number == int(number) else number

    cast.__name__ = "size" if parse is parse_size else "seconds"
    return cast


def addresses(value: Any) -> frozenset[str]:
    """A cast to a set of IP addresses, given as text with spaces between them."""
    given = value.split() if isinstance(value, str) else value
    return frozenset(str(ipaddress.ip_address(address)) for address in given)


@dataclass(frozen=True)
class Tunable:
    """One tunable: `cast` makes its value from text, `why` says what it does and why that is its default."""

    name: str
    cast: Callable[[Any], Any]
    default: Any
    why: str


TUNABLES = (
    Tunable("threads", at_least(1), 16, "Workers that run the application; some wait for a database."),
    Tunable("upload_threads", at_least(1), 8, "Workers beside them for uploads whose bodies are streamed."),
    Tunable(
        "document_threads",
        at_least(1),
        32,
        "Workers beside them for streamed bodies of another Content-Type than application/octet-stream, "
        "such as JSON: started when needed.",
    ),
    Tunable(
        "kept_threads",
        at_least(0),
        4,
        "Workers beside each of these three kinds that only a caller without any of that kind gets, "
        "so that one caller keeps out nobody. A caller is whom a token was found to be, or else an address.",
    ),
    Tunable(
        "upload_wait",
        seconds(0),
        30,
        "Seconds a streamed body waits, unread, for one of those before 503: later, clients think us dead.",
    ),
    Tunable(
        "document_timeout",
        seconds(1),
        30,
        "Seconds in all that the server waits for the bytes of a document before 408: they are few.",
    ),
    Tunable(
        "blocked_threads",
        at_least(0),
        64,
        "Workers that may wait for slow readers and be stood in for: a thread costs little memory.",
    ),
    Tunable(
        "stream_over",
        size(0),
        262144,
        "Bodies of more bytes go to the application as they come (chunked ones always): "
        "smaller ones are cheaper when read whole first.",
    ),
    Tunable("recv_bytes", size(1), 262144, "Bytes read at once: waitress's 8 KiB halves uploads' speed."),
    Tunable(
        "max_request_body_size",
        size(1),
        (1 << 40) + 1,
        "Above `image_size_cap`, whose answer is better.",
    ),
    Tunable(
        "max_request_header_size",
        size(1),
        262144,
        "Bytes of a head: 32 KiB of properties fit.",
    ),
    Tunable(
        "max_request_headers",
        at_least(1),
        256,
        "Headers of a request: above 70 properties, whose refusal is better.",
    ),
    Tunable(
        "header_timeout",
        seconds(1),
        5,
        "Seconds a head may take from first to last byte.",
    ),
    Tunable(
        "body_timeout",
        seconds(1),
        60,
        "Seconds without a byte of a body: no network is away for longer.",
    ),
    Tunable(
        "min_rate",
        size(0),
        1024,
        "Bytes a second a body must bring while it is waited for: below any modem, above a drip.",
    ),
    Tunable(
        "send_timeout",
        seconds(1),
        60,
        "Seconds in which a reader may take nothing: a slow one's system takes bytes in large lumps.",
    ),
    Tunable("channel_timeout", seconds(1), 120, "Seconds an idle connection is kept."),
    Tunable("linger_timeout", seconds(0), 2, "Seconds a refused sender gets to read the answer."),
    Tunable(
        "drain_timeout",
        seconds(0),
        30,
        "Seconds requests get to end after SIGTERM; systemd kills at 90.",
    ),
    Tunable(
        "end_timeout",
        seconds(1),
        10,
        "Seconds in which all else, such as stores and the database, is closed after that. "
        "Then the process ends, whatever hangs.",
    ),
    Tunable(
        "connection_limit",
        at_least(1),
        1000,
        "Connections in all: each costs a descriptor and some 10 KiB.",
    ),
    Tunable(
        "connections_per_address",
        at_least(0),
        100,
        "Connections an address (IPv6: a /64) may have, so that one cannot take all; 0: any number.",
    ),
    Tunable(
        "uncounted_addresses",
        addresses,
        addresses("127.0.0.1 ::1"),
        "Addresses that cap does not bind: proxies that speak for many. Unix sockets are never bound.",
    ),
    Tunable(
        "reuse_port", boolean, False, "Whether other processes may share the port: one a core, if all do."
    ),
    Tunable("cleanup_interval", seconds(1), 1, "Seconds between looks at all these deadlines."),
    Tunable(
        "outbuf_high_watermark",
        size(1),
        1048576,
        "Bytes of a response that wait for its reader before the application waits: bounds memory.",
    ),
    Tunable(
        "outbuf_overflow",
        size(1),
        4194304,
        "Above the watermark: no response goes to temporary files.",
    ),
    Tunable("clear_untrusted_proxy_headers", boolean, True, "Only `trusted_proxy` says whom it speaks for."),
    Tunable(
        "ident",
        str_iftruthy,
        None,
        "The Server header: unset, nobody needs our version.",
    ),
)


def _port(text: str, where: str = "") -> None:
    """Refuse what is no port: the system would take its last 16 bits."""
    if not (text.isascii() and text.isdecimal() and int(text) <= _LAST_PORT):
        behind = f" in {quoted(where)}" if where else ""
        raise _WrongPlace(
            f"a port must be a number from 1 to {_LAST_PORT}, or 0 for any that is free, "
            f"not {quoted(text)}{behind}"
        )


def _ports(value: str) -> None:
    """Refuse a list of HOST:PORT with a wrong port. A host may stand alone, an IPv6 address in brackets."""
    for where in str(value).split():
        if where.isdecimal():  # the system would take it for an address
            raise _WrongPlace(f"it must be HOST:PORT, as {LISTEN}, not {quoted(where)}")
        if ":" in where and not where.endswith("]"):
            _port(where.rpartition(":")[2], where)


#: Checks of the settings that hold ports, before waitress has the system look them up.
_PORTS: dict[str, Callable[[Any], Any]] = {"listen": _ports, "port": lambda value: _port(str(value).strip())}


#: Our casts in place of waitress's.
_STRICT: dict[Any, Callable[[Any], Any]] = {asbool: boolean, int: at_least(0)}


class ServerSettings(Adjustments):
    """waitress's adjustments with our tunables and defaults.

    Raises:
        ServerSettingsError: a key is unknown or a value is wrong.
    """

    _params = (
        *(
            (name, _STRICT.get(cast, cast))
            for name, cast in Adjustments._params
            if name not in {tunable.name for tunable in TUNABLES}
        ),
        *((tunable.name, tunable.cast) for tunable in TUNABLES),
    )
    _param_map: ClassVar[dict[str, Callable[[Any], Any]]] = dict(_params)

    def __init__(self, **given: Any):
        if not _WHERE & given.keys():
            given["listen"] = LISTEN
        for name, value in given.items():
            if name not in self._param_map:
                hint = did_you_mean(name, self._param_map)
                raise ServerSettingsError(f"unknown setting {name} of the server{hint}", name)
            try:
                _PORTS.get(name, self._param_map[name])(value)
            except (TypeError, ValueError) as error:
                is_told = isinstance(error, _WrongPlace)
                reason = str(error) if is_told else f"{error}, not {quoted(str(value))}"
                raise ServerSettingsError(f"{name} of the server: {reason}", name, reason) from None
        try:
            super().__init__(**{tunable.name: tunable.default for tunable in TUNABLES} | given)
        except ValueError as error:
            named = [name for name in ("listen", "host", "port") if name in given]
            shown = " ".join(f"{name} = {given[name]}" for name in named)
            if "Invalid host/port" in str(error) and named:  # waitress's words for a failed look-up
                reason = (
                    f"a host in {quoted(' '.join(str(given[name]) for name in named))} has no address: write "
                    "an address of this machine, as 127.0.0.1, or a name of it"
                )
                raise ServerSettingsError(f"{named[0]} of the server: {reason}", named[0], reason) from None
            raise ServerSettingsError(
                f"settings of the server: {error}{f' ({shown})' if shown else ''}", *named[:1]
            ) from None

    def listening_at(self, where: str) -> ServerSettings:
        """Return the same settings for another place to listen at: HOST:PORT, or unix:PATH.

        Raises:
            ServerSettingsError: it is no such place.
        """
        kind, _, path = where.partition(":")
        place = ServerSettings(**({"unix_socket": path} if kind == "unix" else {"listen": where}))
        settings = copy.copy(self)
        settings.listen, settings.unix_socket, settings.sockets = place.listen, place.unix_socket, []
        return settings

    def beyond_loopback(self) -> Iterator[str]:
        """The addresses, of those to listen on, that other machines can reach."""
        hosts = (
            [sockaddr[0] for *_, sockaddr in self.listen] if not (self.sockets or self.unix_socket) else []
        )
        internet = (listener for listener in self.sockets if listener.family != socket.AF_UNIX)
        for host in (*hosts, *(listener.getsockname()[0] for listener in internet)):
            address = ipaddress.ip_address(host.partition("%")[0])
            if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
                yield host
