"""Serve in this process: the application's callbacks, signals, and the deadline for the process's end."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from wsgiref.types import WSGIApplication

from calotype_server import notify
from calotype_server.ending import Deadline
from calotype_server.hooks import Hooks
from calotype_server.server import Server
from calotype_server.settings import ServerSettings

#: Seconds for which a thread may hold the interpreter's lock while others wait for it. A short request takes
#: the lock about ten times. With Python's default of 5 ms, it would wait that long each time while another
#: request computes.
_SWITCH_INTERVAL = 0.0005


@dataclass(frozen=True)
class Serving:
    """An application, with the settings of its server."""

    app: WSGIApplication
    hooks: Hooks
    settings: ServerSettings
    #: The settings of the admin listener; None if there is none.
    admin: ServerSettings | None

    @property
    def longest_end(self) -> float:
        """How long a process takes to end at most, in seconds."""
        return self.settings.drain_timeout + self.settings.end_timeout

    def make_server(self) -> Server:
        """Return a server that listens.

        Raises:
            CannotListen: an address is in use, or does not belong to this machine.
        """
        return Server(self.app, self.settings, self.admin)


class Ending:
    """The end of a serving process. It begins with a signal, or when `begin` is called."""

    def __init__(self, server: Server):
        """After `begin`, the process ends in the time that the server's settings allow, whatever hangs."""
        self.deadline = Deadline()
        self._server = server
        self._settings = server.settings

    def begin(self, *, gently: bool = False) -> None:
        """Let running requests finish, and end the process; `gently` is that of `Server.stop`."""
        notify.tell("STOPPING=1", "running requests finish")
        longest = self._settings.reload_timeout if gently else self._settings.drain_timeout
        self.deadline.within(longest + self._settings.end_timeout)
        self._server.stop(gently=gently)

    def on_signals(self, *numbers: signal.Signals) -> None:
        """Begin at the first of these signals, and let the second one end the process at once."""
        if threading.current_thread() is not threading.main_thread():
            return

        def end(number: int, frame: FrameType | None) -> None:
            for one in numbers:
                signal.signal(one, signal.SIG_DFL)
            self.begin()

        for one in numbers:
            signal.signal(one, end)


def run(server: Server, ending: Ending, serving: Serving) -> None:
    """Serve until the end begins, let running requests finish, and close the application."""
    share_the_interpreter()
    server.run()
    ending.deadline.within(serving.settings.end_timeout)
    serving.hooks.stop_serving()


def share_the_interpreter() -> None:
    """Reduce how long threads wait for the interpreter's lock and for garbage collection."""
    sys.setswitchinterval(_SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
