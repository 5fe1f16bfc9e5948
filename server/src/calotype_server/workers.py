"""The threads that run the application, and how many of them are needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waitress.task import ThreadedTaskDispatcher

from calotype_server.callers import Caller, Callers
from calotype_server.parser import ServiceUnavailable
from calotype_server.settings import ServerSettings
from calotype_server.slots import Slots
from calotype_server.turns import Turns

if TYPE_CHECKING:
    from calotype_server.channel import Channel

log = logging.getLogger(__name__)

#: Seconds that busy workers have to end when the server closes. Idle ones end at once.
_LAST_SECONDS = 1


@dataclass
class Slot:
    """The slot that a request with a streamed body holds while it runs."""

    workers: Workers
    slots: Slots
    caller: Caller

    def leave(self) -> None:
        """Give the slot back."""
        self.workers.leave(self.slots, self.caller)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the slot to another request within the block, because this one waits for a backend."""
        self.leave()
        try:
            yield
        finally:
            self.workers.take(self.slots, self.caller)

    def become_document(self) -> None:
        """Exchange the slot for one of the slots for documents."""
        before, self.slots = self.slots, self.workers.documents
        self.workers.take(self.slots, self.caller)
        self.workers.leave(before, self.caller)


class Serving(threading.local):
    """The connection whose request the current thread runs, or ran last."""

    channel: Channel | None = None


class Workers(ThreadedTaskDispatcher):
    """waitress's threads, of which a limited number read bodies from clients.

    Uploads need slots, and so do documents, which are bodies whose type is not octet-stream. For each slot
    taken there is one more thread, so that `threads` stay free for other requests. While a worker waits for a
    slow client or for a backend of the application, another thread replaces it. Threads run until `shutdown`.
    """

    def __init__(self, settings: ServerSettings):
        super().__init__()
        self.queue = Turns(settings.threads, settings.kept_threads)
        self.callers = Callers()
        self.serving = Serving()
        self._settings = settings
        self._uploads = Slots(settings.upload_threads, settings.kept_threads)
        self.documents = Slots(settings.document_threads, settings.kept_threads)
        self._blocked = 0
        self._count = settings.threads + settings.kept_threads + settings.upload_threads
        self._counting = threading.Lock()
        self.set_thread_count(self._count)

    def add_task(self, task: Channel) -> None:
        """Queue the channel's next request. If its body must be read, it may have to wait for a slot."""
        if task.requests[0].reads_body and task.paused is None:
            with self.lock:
                if not self._slots(task).admit(task.caller, task):
                    return
            self._keep_enough()
        self._queue(task)

    def _queue(self, task: Channel) -> None:
        """Queue a request as waitress does, but without a log line each time that no thread is idle."""
        with self.lock:
            self.queue.append(task)
            self.queue_cv.notify()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Charge the processor time used within the block to the request that the calling worker runs."""
        began = time.thread_time()
        try:
            yield
        finally:
            with self.lock:
                self.queue.end(time.thread_time() - began)
                self._wake()

    def _wake(self) -> None:
        """Wake a worker if a waiting request may run now. The caller must hold the lock."""
        if self.queue:
            self.queue_cv.notify()

    def slot(self, task: Channel) -> Slot:
        """Return the slot that the channel's next request was admitted to."""
        return Slot(self, self._slots(task), task.caller)

    def leave(self, slots: Slots, caller: Caller) -> None:
        """Give a slot back, and queue a request that has waited for it."""
        with self.lock:
            following = slots.leave(caller)
        if following is not None:
            self._queue(following)

    def take(self, slots: Slots, caller: Caller) -> None:
        """Take a slot for a request that is already running, even if none is free."""
        with self.lock:
            slots.take(caller)
        self._keep_enough()

    def _slots(self, task: Channel) -> Slots:
        return self.documents if task.requests[0].is_document else self._uploads

    def look_after(self) -> None:
        """Log how many requests wait for a worker, and answer 503 to those that waited too long."""
        with self.lock:
            self.queue.forget()
            self._wake()
            waiting = len(self.queue)
        if waiting:
            log.warning("%d requests wait for a worker", waiting)
        for slots, kind in ((self._uploads, "uploads"), (self.documents, "documents")):
            with self.lock:
                overdue = slots.overdue(self._settings.upload_wait)
            for task in overdue:
                task.requests[0].error = ServiceUnavailable(f"Too many {kind} are being read")
                self._queue(task)

    def _keep_enough(self) -> None:
        """Start threads until enough of them neither read bodies nor wait."""
        with self._counting:
            settings = self._settings
            wanted = settings.threads + settings.kept_threads
            wanted += max(settings.upload_threads, self._uploads.taken) + self.documents.taken
            wanted += min(self._blocked, settings.blocked_threads)
            if wanted > self._count:
                self._count = wanted
                self.set_thread_count(wanted)

    def shutdown(self, cancel_pending: bool = True, timeout: float = _LAST_SECONDS) -> bool:
        """End the threads; busy ones have `timeout` seconds in all."""
        return bool(super().shutdown(cancel_pending, timeout))

    @contextmanager
    def release_worker(self) -> Iterator[None]:
        """Replace the calling worker with another thread within the block, where the worker only waits."""
        with self._counting:
            self._blocked += 1
        self._keep_enough()
        try:
            with self.queue.released(self.lock):
                with self.lock:
                    self._wake()
                yield
        finally:
            with self._counting:
                self._blocked -= 1
