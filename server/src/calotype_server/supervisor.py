"""The supervisor: the process that starts several serving processes, and replaces those that die.

It handles its signals one after the other in a loop, and blocks them otherwise. So a signal that arrives
while a reload replaces this program waits for the next one.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from calotype_server import notify
from calotype_server.ending import KERNEL_WAITS
from calotype_server.errors import CannotListen
from calotype_server.forking import GENTLY, Fork, refuse_threads
from calotype_server.listeners import address_of, bind
from calotype_server.reload import Heritage, Trial, is_trial, run_again, take_heritage
from calotype_server.serving import Serving
from calotype_server.settings import ServerSettings
from calotype_server.shared_directory import SharedDirectory
from calotype_server.spread import Loads

log = logging.getLogger(__name__)

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
#: A process that dies within this time, in seconds, was not able to serve.
_SOON = 10.0
#: Seconds before the first restart after such a death, and the longest time. Each time is twice the last one.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: Begins the names of the admin listener's sockets.
_ADMIN = "admin "
#: Seconds between two looks at the processes: while some are starting, and otherwise.
_LOOK_OFTEN, _LOOK = 0.05, 1.0
#: Seconds beyond their own deadline after which processes are killed.
_GRACE = 2.0


@dataclass
class Seat:
    """A place for one serving process, which is replaced when it dies."""

    number: int
    #: The id of the process; None while there is none.
    pid: int | None = None
    #: The time.monotonic() at which the process began, or at which the next one may begin.
    since: float = 0.0
    pause: float = 0.0
    #: True once a process has served, or has died.
    is_settled: bool = False


def supervise(serving: Serving) -> None:
    """Serve with several processes until SIGTERM or SIGINT.

    Raises:
        ServerError: the server cannot start.
    """
    heritage = take_heritage()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        listening, sockets = _listen(serving, heritage)
        heritage.close_sockets()
        refuse_threads()
        if is_trial():
            return
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, nobody knows how processes end
        gc.collect()
        gc.freeze()
        status = Supervisor(listening, sockets, heritage).run()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    if status:
        logging.shutdown()
        os._exit(status)


def _listen(serving: Serving, heritage: Heritage) -> tuple[Serving, dict[str, socket.socket]]:
    """Open the listening sockets. Return what serves on them, and the sockets by name."""
    sockets = bind(serving.settings, heritage.sockets)
    settings = _on_sockets(serving.settings, sockets)
    if serving.admin is None:
        return replace(serving, settings=settings), sockets
    try:
        admin_sockets = bind(serving.admin, heritage.sockets, _ADMIN)
    except CannotListen as error:
        raise CannotListen(f"admin_listen: {error}") from None
    admin = _on_sockets(serving.admin, admin_sockets)
    return replace(serving, settings=settings, admin=admin), sockets | admin_sockets


def _on_sockets(settings: ServerSettings, sockets: dict[str, socket.socket]) -> ServerSettings:
    return settings.changed(sockets=list(sockets.values()), listen=[], unix_socket=None)


class Supervisor:
    """Starts the serving processes, replaces those that die, reloads, and ends."""

    def __init__(self, serving: Serving, sockets: dict[str, socket.socket], heritage: Heritage):
        """Take over the older processes of the heritage, which end when the new ones serve."""
        self._serving = serving
        self._sockets = sockets
        self._older = heritage
        count = serving.settings.processes
        self._loads = Loads(count)
        self._shared = SharedDirectory(heritage.directory)
        self._fork = Fork(serving, self._loads, self._shared)
        self._seats = [Seat(number) for number in range(count)]
        self._trial: Trial | None = None
        self._reloads_again = False
        #: True once a process serves, and once each seat has had a process that served or died.
        self._is_ready = self._is_settled = False
        #: The time.monotonic() at which the processes are killed, because they should have ended; None
        #: until the end begins.
        self._kill_at: float | None = None
        self._status = 0

    def run(self) -> int:
        """Supervise until all processes have ended after SIGTERM or SIGINT, and return the exit status."""
        while self._kill_at is None or any(True for _ in self._pids()):
            if self._kill_at is None:
                self._start_due()
                self._look_at_trial()
                self._report_ready()
            elif time.monotonic() >= self._kill_at:
                self._kill_rest()
            received = signal.sigtimedwait(_SIGNALS, self._patience())
            if received is not None:
                self._handle(signal.Signals(received.si_signo))
            self._reap()
        self._shared.remove()
        return self._status

    def _patience(self) -> float:
        is_starting = not all(self._loads.serves(seat.number) for seat in self._seats)
        return _LOOK_OFTEN if is_starting or self._kill_at is not None else _LOOK

    def _pids(self) -> Iterator[int]:
        """Yield the ids of all processes, older ones included."""
        yield from (seat.pid for seat in self._seats if seat.pid is not None)
        yield from self._older.processes

    # -- starting and replacing

    def _start_due(self) -> None:
        for seat in self._seats:
            if seat.pid is None and time.monotonic() >= seat.since:
                try:
                    seat.pid = self._fork.start(seat.number, _SIGNALS, self._older.lifelines)
                    seat.since = time.monotonic()
                except OSError as error:
                    seat.since = time.monotonic() + _FIRST_PAUSE
                    log.error("cannot start a process: %s", error)

    def _reap(self) -> None:
        """Learn which processes have died."""
        for pid in list(self._pids()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            how = _describe(status)
            if pid in self._older.processes:
                self._older.processes.remove(pid)
                if not self._older.processes:
                    self._close_lifelines()
                if status:
                    log.warning("process %d, which was ending after a reload, %s", pid, how)
                continue
            (seat,) = (seat for seat in self._seats if seat.pid == pid)
            self._vacate(seat)
            if self._kill_at is None:
                self._replace(seat, pid, how)
            elif status:
                self._status = 1
                log.warning("process %d %s", pid, how)

    def _vacate(self, seat: Seat) -> None:
        seat.pid, seat.is_settled = None, True
        self._loads.forget(seat.number)

    def _replace(self, seat: Seat, pid: int, how: str) -> None:
        """Let another process take the place of one that died: at once, or later if it died soon."""
        now = time.monotonic()
        lived, seat.pause = now - seat.since, min(max(2 * seat.pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        if lived >= _SOON:
            seat.pause = 0.0
        seat.since = now + seat.pause
        log.error("process %d %s after %.1f s; another one replaces it in %g s", pid, how, lived, seat.pause)

    def _report_ready(self) -> None:
        """When the processes serve, tell the service manager, and end the older processes."""
        for seat in self._seats:
            seat.is_settled = seat.is_settled or self._loads.serves(seat.number)
        serving = sum(self._loads.serves(seat.number) for seat in self._seats)
        if serving and not self._is_ready:
            self._is_ready = True
            log.info("listening on %s", " ".join(map(address_of, self._sockets.values())))
            self._tell_ready()
        if serving and not self._is_settled and all(seat.is_settled for seat in self._seats):
            self._is_settled = True
            log.info("%d of %d processes serve", serving, len(self._seats))
            for pid in self._older.processes:
                os.kill(pid, GENTLY)

    def _tell_ready(self) -> None:
        notify.tell("READY=1", f"{len(self._seats)} processes serve")

    # -- reloading

    def _look_at_trial(self) -> None:
        """Run the new program if its trial has gone well; otherwise keep this one."""
        status = self._trial.poll() if self._trial is not None else None
        if self._trial is None or status is None:
            return
        reason, self._trial = self._trial.last_words(), None
        if self._reloads_again:  # the trial may have read an older ini file
            self._reload()
            return
        if status == 0:
            log.info("reloading")
            try:
                run_again(self._heritage())
            except OSError as error:
                reason = str(error)
        self._stay(reason)

    def _reload(self) -> None:
        self._reloads_again = self._trial is not None
        if self._trial is None:
            notify.tell_reloading("checking whether the service can start")
            try:
                self._trial = Trial(self._heritage())
            except OSError as error:
                self._stay(str(error))

    def _stay(self, reason: str) -> None:
        log.error("cannot reload, so the processes go on as they are: %s", reason)
        self._tell_ready()

    def _heritage(self) -> Heritage:
        sockets = {name: one.fileno() for name, one in self._sockets.items()}
        lifelines = [*self._older.lifelines, self._fork.lifeline]
        return Heritage(sockets, lifelines, list(self._pids()), self._shared.path)

    def _close_lifelines(self) -> None:
        """End the processes that served before the last reload."""
        while self._older.lifelines:
            os.close(self._older.lifelines.pop())

    # -- ending

    def _handle(self, number: signal.Signals) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._kill_at is None:
                self._end()
            else:
                self._die_of(number)
        elif number is signal.SIGHUP and self._kill_at is None:
            self._reload()

    def _end(self) -> None:
        """Let all processes end, as they do when they find their lifeline closed."""
        notify.tell("STOPPING=1", "running requests finish")
        self._kill_at = time.monotonic() + self._serving.longest_end + KERNEL_WAITS + _GRACE
        if self._trial is not None:
            self._trial.kill()
        self._close_lifelines()
        os.close(self._fork.lifeline)
        for listening in self._sockets.values():
            listening.close()

    def _kill(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGKILL)

    def _kill_rest(self) -> None:
        log.warning("killed processes that did not end in time: %s", " ".join(map(str, self._pids())))
        self._kill()
        self._kill_at = math.inf

    def _die_of(self, number: signal.Signals) -> None:
        """End at once, together with all processes, as one process without a supervisor would."""
        self._kill()
        self._shared.remove()
        logging.shutdown()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def _describe(status: int) -> str:
    """Return how a process ended, as the end of a sentence."""
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
