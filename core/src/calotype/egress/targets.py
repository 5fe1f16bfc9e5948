"""Targets of fetches: the strict form of a URL, and the rule for public addresses.

No function of this module sends anything.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import types
import urllib.parse
from dataclasses import dataclass

from calotype.egress.errors import Forbidden

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNRESERVED = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]"
_ESCAPED = r"%(?!7[Ff])[2-9A-Fa-f][0-9A-Fa-f]"  # no escaped control characters
#: The form of an allowed URL. The last label of a name starts with a letter, so that no
#: spelling of a number (127.1, 0x7f000001, 017700000001) counts as a name.
URL = re.compile(
    r"(?P<scheme>[A-Za-z]{4,5})://"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]"
    r"|(?P<ipv4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
    r"|(?P<name>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){0,60}"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<path>(?:/(?:{_UNRESERVED}|{_ESCAPED})*)?(?:\?(?:{_UNRESERVED}|\?|{_ESCAPED})*)?)",
    re.ASCII,
)
#: Maximum length of a URL in characters. Signed URLs have about 1,800.
URL_MAX = 8000
PORTS = types.MappingProxyType({"http": 80, "https": 443})
_FORM = (
    "its URL must be http or https with a plain host name or address, "
    "without a user name, a fragment, blanks or control characters"
)

#: Networks that are not part of the public internet. This is our own list, because `ipaddress.is_global`
#: differs between versions of Python, and calls some metadata services global (192.0.0.192, 168.63.129.16).
PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
#: The routed part of IPv6. Loopback, mapped, translated, local and multicast addresses are outside of it.
IPV6_GLOBAL = ipaddress.IPv6Network("2000::/3")
#: Names that every resolver resolves to its own machine (RFC 6761), and the address for checking them.
LOCALHOST = re.compile(r"(?:^|\.)localhost$", re.ASCII)
LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
#: A documentation address, which no machine has. A socket that binds to it can bind to any address.
NOBODY = ipaddress.IPv4Address("192.0.2.1")


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL: `host` is in lower case and without brackets, and `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None

    @property
    def authority(self) -> str:
        """The host and port in the form of a URL and of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in its normal form."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse(url: str) -> Target:
    """Parse a URL strictly: refuse any form that two parsers could read differently.

    Raises:
        Forbidden: the URL is not an absolute http or https URL of the strict form.
    """
    if len(url) > URL_MAX:
        raise Forbidden(f"its URL has {len(url)} characters, and at most {URL_MAX} are allowed")
    match = URL.fullmatch(url)
    if match is None or (scheme := match["scheme"].lower()) not in PORTS:
        raise Forbidden(_FORM)
    address: Address | None = None
    try:
        if match["ipv4"]:
            address = ipaddress.IPv4Address(match["ipv4"])
        elif match["ipv6"]:
            address = ipaddress.IPv6Address(match["ipv6"])
    except ValueError as error:
        raise Forbidden(_FORM) from error
    host = str(address) if address else match["name"].lower()
    port = PORTS[scheme] if match["port"] is None else int(match["port"])
    if not 0 < port < 65536 or len(host) > 253:
        raise Forbidden(_FORM)
    path = match["path"] if match["path"].startswith("/") else f"/{match['path']}"
    return Target(scheme, host, port, path, address)


def follow(target: Target, location: str) -> Target:
    """Return the target of a redirect, relative to the target that sent it.

    Raises:
        Forbidden: the location is not a URL of the strict form, or leads from https to http.
    """
    try:
        if not re.fullmatch(rf"[!-~]{{1,{URL_MAX}}}", location) or "\\" in location:
            raise ValueError
        following = parse(urllib.parse.urljoin(target.url, location.partition("#")[0]))
    except ValueError as error:
        raise Forbidden("it redirects to an invalid URL", target.host) from error
    if target.scheme == "https" and following.scheme == "http":
        raise Forbidden("it redirects from https to http", target.host)
    return following


def unmapped(address: Address | str) -> Address:
    """Return the address without its zone. Convert an IPv4-mapped IPv6 address to IPv4."""
    address = ipaddress.ip_address(str(address).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: Address) -> bool:
    """Return whether the address belongs to the public internet."""
    if any(address in network for network in PRIVATE):
        return False
    return address.version == 4 or address in IPV6_GLOBAL


def is_own(address: Address) -> bool:
    """Return whether the address belongs to this machine: only then can a socket be bound to it.

    If the kernel lets sockets bind to any address (`ip_nonlocal_bind`), return False. On such a machine,
    `denied_networks` must name its addresses.
    """
    return _binds(address) and not _binds(NOBODY)


def _binds(address: Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
