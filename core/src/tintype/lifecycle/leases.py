"""Leases: a process that carries something says so in the registry, again and again, while it lives.

What is leased is a location row (an upload) or a job, by its key. A lease that lapses
tells every other process that the work may be ended or taken over; whoever lost it
finds out at its next change, which asks for the row as it left it.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
import uuid
from collections.abc import Iterator

from tintype.registry import Registry, RegistryError

log = logging.getLogger(__name__)


class Leases:
    """The leases that this process holds; one thread renews them, as long as there are any."""

    def __init__(self, registry: Registry, seconds: float):
        self.owner = str(uuid.uuid4())
        self.seconds = seconds
        self._registry = registry
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def end(self, seconds: float | None = None) -> datetime.datetime:
        """When a lease ends that is taken now."""
        wait = self.seconds if seconds is None else seconds
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=wait)

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Renew the lease of that key until the block is left."""
        with self._lock:
            self._held.add(key)
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew_all, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(key)

    def close(self) -> None:
        """Renew nothing any more."""
        self._ended.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _renew_all(self) -> None:
        while not self._ended.wait(self.seconds / 3):
            with self._lock:
                held = sorted(self._held)
            if held:
                try:
                    with self._registry.unit() as unit:
                        unit.renew_leases(held, self.owner, self.end())
                except RegistryError:
                    log.exception("leases could not be renewed; they are tried again")
