"""The time limit of a case: a driver that hangs fails the case, and does not stop the kit.

An alarm of the operating system ends a case in the main thread, where pytest runs it. If the case hangs in
code that no alarm can interrupt, such as a library in C, the process prints the stacks of all threads and
ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any

import pytest

#: Seconds until the alarm is repeated, for a driver that catches the first one and hangs again.
AGAIN = 5.0
#: Seconds after the limit until the process is ended, if the case still runs.
GRACE = 30.0
#: Seconds until the process is ended after the last test, if threads that hang keep it running.
ENDING = 10.0
#: The fixtures of a case that call the driver. Others may take longer, for instance to start a server.
OF_THE_DRIVER = ("store", "_trial")


class TimeLimits:
    """The plugin that limits the time of each case of the kit, during one run of pytest."""

    def __init__(self, errors: int):
        """Write stacks to the file descriptor `errors`, because standard error is captured during a case."""
        self._errors = errors
        self._has_hung = False

    @classmethod
    def ensure(cls, config: pytest.Config) -> None:
        """Register the plugin unless it is registered already."""
        plugins = config.pluginmanager
        if not plugins.has_plugin(cls.__name__):
            with _uncaptured(config):
                plugins.register(cls(os.dup(2)), cls.__name__)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        with self.limited(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        if fixturedef.argname not in OF_THE_DRIVER:
            return (yield)
        with self.limited(request.node):
            return (yield)

    def pytest_unconfigure(self) -> None:
        """End the process by a timer, if a driver's thread hangs and Python would wait for it."""
        others = set(threading.enumerate()) - {threading.main_thread()}
        if self._has_hung and not all(thread.daemon for thread in others):
            faulthandler.dump_traceback_later(ENDING, exit=True, file=self._errors)
        else:
            os.close(self._errors)

    @contextlib.contextmanager
    def limited(self, item: pytest.Item) -> Iterator[None]:
        """Fail a case of the kit if the block does not end within the class's `case_seconds`."""
        seconds = getattr(getattr(item, "cls", None), "case_seconds", None)
        if seconds is None or threading.current_thread() is not threading.main_thread():
            yield
            return

        def fail(number: int, frame: FrameType | None) -> None:
            self._has_hung = True
            pytest.fail(
                f"{item.name}: the driver hangs: the case has not ended within {seconds:g} seconds "
                "(if the store needs more, raise the attribute case_seconds of the test class)"
            )

        before, began = signal.signal(signal.SIGALRM, fail), time.monotonic()
        left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=self._errors)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if left:  # the timer of another plugin, such as pytest-timeout
                signal.setitimer(signal.ITIMER_REAL, max(left - time.monotonic() + began, 0.001), interval)
            faulthandler.cancel_dump_traceback_later()


def limited(item: pytest.Item) -> contextlib.AbstractContextManager[None]:
    """Return a context that limits the time of a case outside its call, such as the end of a fixture."""
    plugin = item.config.pluginmanager.get_plugin(TimeLimits.__name__)
    return plugin.limited(item) if isinstance(plugin, TimeLimits) else contextlib.nullcontext()


@contextlib.contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    capture = config.pluginmanager.get_plugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield
