"""The threads that run the application: some for every request, some for uploads, some to stand in."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from waitress.task import ThreadedTaskDispatcher

from calotype.serving.parser import ServiceUnavailable
from calotype.serving.settings import ServerSettings

if TYPE_CHECKING:
    from calotype.serving.channel import Channel

log = logging.getLogger(__name__)


class Workers(ThreadedTaskDispatcher):
    """waitress's threads, of which at most `upload_threads` at a time read a body from its client.

    There are as many more threads as those, so `threads` stay free of them. A worker that
    waits for a slow reader is stood in for. Threads that were needed once are kept.
    """

    def __init__(self, settings: ServerSettings):
        super().__init__()
        self._settings = settings
        self._uploads = 0
        self._waiting: deque[tuple[float, Channel]] = deque()
        self._blocked = 0
        self._blocked_lock = threading.Lock()
        self._count = settings.threads + settings.upload_threads
        self.set_thread_count(self._count)

    def add_task(self, task: Channel) -> None:
        """Queue the channel's next request; an upload waits until few enough others run."""
        if task.requests[0].is_upload:
            with self.lock:
                if self._uploads >= self._settings.upload_threads:
                    self._waiting.append((time.monotonic(), task))
                    return
                self._uploads += 1
        self._queue(task)

    def _queue(self, task: Channel) -> None:
        """What waitress does, but for a line in the log each time that no thread is idle."""
        with self.lock:
            self.queue.append(task)
            self.queue_cv.notify()

    def upload_ended(self) -> None:
        """One of the uploads that were let run has ended: the one that waits longest may."""
        with self.lock:
            if not self._waiting:
                self._uploads -= 1
                return
            _, task = self._waiting.popleft()
        self._queue(task)

    def look_after(self) -> None:
        """Say how many requests wait for a thread, and answer 503 to uploads that have waited too long."""
        if self.queue:
            log.warning("%d requests wait for a worker", len(self.queue))
        late = time.monotonic() - self._settings.upload_wait
        while True:
            with self.lock:
                if not self._waiting or self._waiting[0][0] > late:
                    return
                _, task = self._waiting.popleft()
            task.requests[0].error = ServiceUnavailable("Too many uploads are running")
            self._queue(task)

    @contextmanager
    def stood_in(self) -> Iterator[None]:
        """Within, the calling worker waits for its client, and another thread does its work."""
        with self._blocked_lock:
            self._blocked += 1
            settings = self._settings
            wanted = settings.threads + settings.upload_threads + min(self._blocked, settings.blocked_threads)
            if wanted > self._count:
                self._count = wanted
                self.set_thread_count(wanted)
        try:
            yield
        finally:
            with self._blocked_lock:
                self._blocked -= 1
