"""A link to a database server that breaks, or falls silent, at a chosen message.

It relays the messages between a service and its database. A message is what one side sends at once: a
statement, a commit, or a check whether the server answers.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading

from sqlalchemy import make_url

_BLOCK = 65_536


class Break(enum.Enum):
    """The fault that the link applies to a message to the database."""

    CUT = "cut before"  #: it does not arrive, and both sides see a reset of the connection
    DEAF = "cut after"  #: it arrives, and the connection is reset before the answer does
    SILENT = "silent"  #: nothing arrives for a while, and neither side sees an error


class Link:
    """A link that listens on a free loopback port until the block ends."""

    def __init__(self, url: str):
        #: The database's own URL.
        self.real = url
        self._target = make_url(url)
        self._lock = threading.Lock()
        self._due: tuple[int, Break] | None = None
        self._silent = False
        self._sockets: list[socket.socket] = []
        self._ended = threading.Event()
        #: Messages to the database since it was last armed or healed.
        self.messages = 0

    def __enter__(self) -> Link:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, name="link", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        # A socket that is only closed accepts one more connection.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            _reset(one)

    @property
    def url(self) -> str:
        """The database's URL through the link."""
        host, port = self._listener.getsockname()
        return self._target.set(host=host, port=port).render_as_string(hide_password=False)

    def arm(self, number: int, how: Break) -> None:
        """Break the message with this number from now on (1: the next) in this way."""
        with self._lock:
            self.messages, self._due = 0, (number, how)

    def heal(self) -> None:
        """Pass on new connections; those that fell silent stay silent."""
        with self._lock:
            self.messages, self._due, self._silent = 0, None, False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                with self._lock:
                    silent = self._silent
                self._sockets.append(here)
                if not silent:  # otherwise it is never answered
                    self._pass_on(here)

    def _pass_on(self, here: socket.socket) -> None:
        try:
            there = socket.create_connection((self._target.host, self._target.port))
        except OSError:
            _reset(here)
        else:
            self._sockets.append(there)
            _Relay(self, here, there).start()

    def meet(self) -> Break | None:
        """Return what happens to a message that has just arrived."""
        with self._lock:
            self.messages += 1
            if self._silent:
                return Break.SILENT
            if self._due is None or self.messages != self._due[0]:
                return None
            how = self._due[1]
            self._silent = how is Break.SILENT
            return how

    @property
    def silent(self) -> bool:
        """Whether no messages are passed on at the moment."""
        return self._silent


class _Relay:
    """One connection, in both directions."""

    def __init__(self, link: Link, here: socket.socket, there: socket.socket):
        self._link = link
        self._here = here
        self._there = there
        self._deaf = False
        self._dead = False

    def start(self) -> None:
        for way in (self._ask, self._answer):
            threading.Thread(target=self._run, args=(way,), name="link", daemon=True).start()

    def _run(self, way: object) -> None:
        with contextlib.suppress(OSError):
            way()
        if not self._dead:
            self._cut()

    def _ask(self) -> None:
        while block := self._here.recv(_BLOCK):
            met = self._link.meet()
            if met is Break.SILENT or self._dead:
                self._dead = True
                return
            if met is Break.CUT:
                return
            self._deaf = self._deaf or met is Break.DEAF
            self._there.sendall(block)

    def _answer(self) -> None:
        while block := self._there.recv(_BLOCK):
            if self._link.silent or self._dead:
                self._dead = True
                return
            if self._deaf:
                return
            self._here.sendall(block)

    def _cut(self) -> None:
        for one in (self._here, self._there):
            _reset(one)


def _reset(one: socket.socket) -> None:
    """Close a socket so that the other side sees a reset, not an end."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it; sends nothing
    one.close()
