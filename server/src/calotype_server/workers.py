"""The threads that run the application: some for every request, some for uploads, some to stand in."""

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

#: Seconds that workers get to end when the server closes. Those that are idle end at once.
_LAST_SECONDS = 1


@dataclass
class Slot:
    """The slot that a request has while it runs."""

    workers: Workers
    slots: Slots
    caller: Caller

    def leave(self) -> None:
        """Give it back."""
        self.workers.leave(self.slots, self.caller)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Within, whoever waits for a slot may have it, because this request itself waits for others."""
        self.leave()
        try:
            yield
        finally:
            self.workers.take_again(self.slots, self.caller)

    def become_document(self) -> None:
        """Change it for a slot for documents."""
        before, self.slots = self.slots, self.workers.take_document_slot(self.caller)
        self.workers.leave(before, self.caller)


class Workers(ThreadedTaskDispatcher):
    """waitress's threads, of which a bounded number at a time reads a body from its client.

    Uploads have slots of their own, and so have documents, which are bodies of metadata. For each slot
    that is taken there is a thread more, so `threads` stay free of them. A worker that waits for a slow
    reader is stood in for. Threads that were needed once are kept.
    """

    def __init__(self, settings: ServerSettings):
        super().__init__()
        self.queue = Turns(settings.threads, settings.kept_threads)
        #: Who sends requests.
        self.callers = Callers()
        self._settings = settings
        self._uploads = Slots(settings.upload_threads, settings.kept_threads)
        self._documents = Slots(settings.document_threads, settings.kept_threads)
        self._blocked = 0
        self._count = settings.threads + settings.kept_threads + settings.upload_threads
        self._counting = threading.Lock()
        self.set_thread_count(self._count)

    def add_task(self, task: Channel) -> None:
        """Queue the channel's next request; one whose body is to be read may have to wait for a slot."""
        if task.requests[0].reads_body:
            with self.lock:
                if not self._slots(task).admit(task.caller, task):
                    return
            self._keep_enough()
        self._queue(task)

    def _queue(self, task: Channel) -> None:
        """What waitress does, but for a line in the log each time that no thread is idle."""
        with self.lock:
            self.queue.append(task)
            self.queue_cv.notify()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Within, the calling worker runs the request whose turn it is."""
        began = time.thread_time()
        try:
            yield
        finally:
            with self.lock:
                self.queue.end(time.thread_time() - began)
                self._wake()

    def _wake(self) -> None:
        """Wake a worker if there is a request that was held back, and may run now; called under the lock."""
        if self.queue:
            self.queue_cv.notify()

    def slot(self, task: Channel) -> Slot:
        """Return the slot that the channel's next request was admitted to."""
        return Slot(self, self._slots(task), task.caller)

    def leave(self, slots: Slots, caller: Caller) -> None:
        """Give a slot back, and let a request that waits for it run."""
        with self.lock:
            following = slots.leave(caller)
        if following is not None:
            self._queue(following)

    def take_again(self, slots: Slots, caller: Caller) -> None:
        """Take a slot that was lent, whether or not there is one."""
        with self.lock:
            slots.take(caller)
        self._keep_enough()

    def take_document_slot(self, caller: Caller) -> Slots:
        """Take a slot for a document that runs already, whether or not there is one; return its kind."""
        with self.lock:
            self._documents.take(caller)
        self._keep_enough()
        return self._documents

    def _slots(self, task: Channel) -> Slots:
        return self._documents if task.requests[0].is_document else self._uploads

    def look_after(self) -> None:
        """Log how many requests wait for a thread, and answer 503 to those that waited long for a slot."""
        with self.lock:
            self.queue.forget()
            self._wake()
            waiting = len(self.queue)
        if waiting:
            log.warning("%d requests wait for a worker", waiting)
        for slots, kind in ((self._uploads, "uploads"), (self._documents, "documents")):
            with self.lock:
                overdue = slots.overdue(self._settings.upload_wait)
            for task in overdue:
                task.requests[0].error = ServiceUnavailable(f"Too many {kind} are being read")
                self._queue(task)

    def _keep_enough(self) -> None:
        """Start threads until there are enough besides those that read bodies and those that wait."""
        with self._counting:
            settings = self._settings
            wanted = settings.threads + settings.kept_threads
            wanted += max(settings.upload_threads, self._uploads.taken) + self._documents.taken
            wanted += min(self._blocked, settings.blocked_threads)
            if wanted > self._count:
                self._count = wanted
                self.set_thread_count(wanted)

    def shutdown(self, cancel_pending: bool = True, timeout: float = _LAST_SECONDS) -> bool:
        """End the threads; those that run get `timeout` seconds in all."""
        return super().shutdown(cancel_pending, timeout)

    @contextmanager
    def stood_in(self) -> Iterator[None]:
        """Within, the calling worker waits for its client, and another thread does its work."""
        with self._counting:
            self._blocked += 1
        self._keep_enough()
        try:
            with self.queue.stood_in(self.lock):
                with self.lock:
                    self._wake()
                yield
        finally:
            with self._counting:
                self._blocked -= 1
