"""The serving processes that the supervisor forks: each has a server of its own on the shared sockets."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

from calotype_server import notify
from calotype_server.ending import end_now, leaves_threads
from calotype_server.errors import ServerError
from calotype_server.serving import Ending, Serving, run
from calotype_server.shared_directory import SharedDirectory
from calotype_server.spread import Loads, Share

log = logging.getLogger(__name__)

#: The signal by which the supervisor lets a process end after a reload.
GENTLY = signal.SIGUSR1
#: Seconds for which threads that are about to end may delay the first fork.
_PATIENCE = 3


def refuse_threads(seconds: float = _PATIENCE) -> None:
    """Raise ServerError if threads beside this one run, because a forked process would not have them.

    Locks that such a thread holds would stay locked for ever in the forked process.
    """
    until = time.monotonic() + seconds
    while others := other_threads():
        if time.monotonic() > until:
            raise ServerError(
                f"cannot start several processes, because the application has started threads: "
                f"{', '.join(others)}; set processes = 1, or let it start them in start_serving"
            )
        time.sleep(0.01)


def other_threads() -> list[str]:
    """Return the names of all threads except the main one, those of C libraries included."""
    here = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    names = []
    for task in Path("/proc/self/task").iterdir():
        if task.name != str(os.getpid()):
            with contextlib.suppress(OSError):  # it has just ended
                names.append(here.get(task.name) or task.joinpath("comm").read_text().strip())
    return names


class Fork:
    """Forks the processes of one supervisor.

    All of them read from one pipe. Its only writer is the supervisor, so that they end if the supervisor
    closes it or dies.
    """

    def __init__(self, serving: Serving, loads: Loads, shared: SharedDirectory):
        self._serving = serving
        self._loads = loads
        self._shared = shared
        self._read_end, self.lifeline = os.pipe()

    def start(self, number: int, unblocked: Collection[signal.Signals], lifelines: Collection[int]) -> int:
        """Fork a process, and return its id.

        Args:
            number: Its number among the processes.
            unblocked: The signals that the supervisor blocks.
            lifelines: The supervisor's descriptors that the process must not keep open.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            for descriptor in (self.lifeline, *lifelines):
                os.close(descriptor)
            notify.leave_to_parent()
            # These two also reach all processes of a terminal, and there the supervisor handles them.
            for ignored in (signal.SIGINT, signal.SIGHUP):
                signal.signal(ignored, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, unblocked)
            status = self._serve(number)
        except SystemExit as error:
            print(error.code, file=sys.stderr)  # noqa: T201
        except ServerError as error:
            log.error("a process cannot serve: %s", error)
        except BaseException:
            log.exception("a process has failed")
        finally:
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(status)

    def _serve(self, number: int) -> int:
        """Serve in this process until the end, and return its exit status."""
        server = self._serving.make_server()
        ending = Ending(server)
        server.join(Share(self._loads, number), self._read_end, ending.begin)
        ending.on_signals(signal.SIGTERM)
        self._shared.name_to_application()
        signal.signal(GENTLY, lambda number, frame: ending.begin(gently=True))
        self._serving.hooks.start_serving()
        run(server, ending, self._serving)
        status = 1 if server.workers_left else 0
        if leaves_threads():
            end_now(status)
        return status
