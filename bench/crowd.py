"""Clients in their own processes, so that no client waits for the interpreter's lock of another."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from testservers import common

_FORK = multiprocessing.get_context("fork")
#: Timeout in seconds until all clients are ready.
PATIENCE = 60


@dataclass(frozen=True)
class Outcome:
    """The time from the first start to the last end, and the result of each client."""

    seconds: float
    results: list[Any]


def at_once(clients: int, work: Callable[[int], Any]) -> Outcome:
    """Let this many clients do the work at the same time. Each gets its number and returns a result."""
    together, told = _FORK.Barrier(clients), _FORK.SimpleQueue()

    def run(number: int) -> None:
        together.wait(PATIENCE)
        began = time.perf_counter()
        result = work(number)
        told.put((number, began, time.perf_counter(), result))

    crowd = _started(run, clients)
    for client in crowd:
        client.join()
    if any(client.exitcode for client in crowd):
        raise SystemExit("a client failed")
    ends = sorted(told.get() for _ in crowd)
    seconds = max(end for _, _, end, _ in ends) - min(began for _, began, _, _ in ends)
    return Outcome(seconds, [result for *_, result in ends])


@contextlib.contextmanager
def meanwhile(clients: int, work: Callable[[int], Any], niceness: int = 0) -> Iterator[None]:
    """Let this many clients repeat the work while the block runs."""

    def run(number: int) -> None:
        os.nice(niceness)
        while True:
            work(number)

    crowd = _started(run, clients)
    try:
        yield
        if not all(client.is_alive() for client in crowd):
            raise SystemExit("a client failed")
    finally:
        for client in crowd:
            client.terminate()
            client.join()


def _started(run: Callable[[int], None], clients: int) -> list[BaseProcess]:
    crowd = [_FORK.Process(target=run, args=(number,), daemon=True) for number in range(clients)]
    for client in crowd:
        client.start()
        # A forked process has no environment of its own that names its run.
        common.note(client.pid, signal.SIGKILL, "client")
    return crowd
