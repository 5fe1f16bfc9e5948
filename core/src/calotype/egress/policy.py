"""The rules for outgoing requests, which an operator sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from calotype.egress.errors import Forbidden
from calotype.egress.targets import Address, Network, Target, is_own, is_public


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The sources from which the service may fetch, and its timeouts.

    Public addresses are allowed, except `denied_networks` and this machine's own addresses. Private addresses
    are allowed in `allowed_networks` and for `allowed_hosts` (names in lower case, whose DNS is trusted).

    Times are in seconds: `connect_timeout` for each address, `read_timeout` for the head of a response and
    for each wait for more bytes. `min_rate` is in bytes per second, at least 1, averaged over waits that add
    up to `read_timeout`. `ca_bundle` is a file of certificates (None: the system's).
    """

    schemes: tuple[str, ...] = ("https", "http")
    ports: tuple[int, ...] = (80, 443)
    allowed_networks: tuple[Network, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    denied_networks: tuple[Network, ...] = ()
    max_redirects: int = 3
    connect_timeout: float = 5
    read_timeout: float = 60
    min_rate: int = 16384
    ca_bundle: str | None = None
    verify: bool = True

    def check_port(self, target: Target) -> None:
        """Raise Forbidden if the target's scheme or port is not allowed."""
        if target.scheme not in self.schemes:
            raise Forbidden(
                f"{target.scheme} is not in the option schemes ({_listed(self.schemes)})", target.host
            )
        if target.port not in self.ports:
            raise Forbidden(
                f"port {target.port} is not in the option ports ({_listed(self.ports)})", target.host
            )

    def refusal(self, host: str, address: Address) -> str | None:
        """Return the reason if fetching from this address of the host is not allowed, otherwise None."""
        if any(address in network for network in self.denied_networks):
            return "its address is in the option denied_networks"
        if host in self.allowed_hosts or any(address in network for network in self.allowed_networks):
            return None
        if is_public(address) and not is_own(address):
            return None
        return "its address is not public, and neither allowed_networks nor allowed_hosts includes it"


def _listed(allowed: Iterable[object]) -> str:
    return ", ".join(map(str, allowed))
