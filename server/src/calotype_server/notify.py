"""Messages to systemd, as `sd_notify` sends them: a datagram to the socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import contextlib
import os
import socket
import time

_SOCKET = "NOTIFY_SOCKET"


def is_wanted() -> bool:
    """Return whether a service manager waits for messages."""
    return bool(os.environ.get(_SOCKET))


def leave_to_parent() -> None:
    """Send no messages from this process and its children."""
    os.environ.pop(_SOCKET, None)


def tell(state: str, status: str) -> None:
    """Send a state, such as `READY=1`, with a sentence that `systemctl status` shows. Ignore errors."""
    address = os.environ.get(_SOCKET)
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto(f"{state}\nSTATUS={status}".encode(), address)


def tell_reloading(status: str) -> None:
    """Say that the service reloads. `READY=1` must follow, whatever comes of it."""
    tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", status)
