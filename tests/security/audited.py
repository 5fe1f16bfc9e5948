"""A folder for PYTHONPATH that makes a Python process record each process and C function that it starts.

An audit hook sees every call of subprocess, os and ctypes, also from libraries. multiprocessing starts
programs without an audit event, so the function that it uses is wrapped here.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.distributions import on_path

_SITECUSTOMIZE = """
import os
import sys

import _posixsubprocess

_EVENTS = frozenset({
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
    "pty.spawn", "ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function",
})
_written = os.open(os.environ["CALOTYPE_TEST_AUDIT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def write(event, arguments):
    os.write(_written, f"{event} {arguments!r}\\n".encode())


def hook(event, arguments):
    if event in _EVENTS:
        write(event, arguments)


def fork_exec(*arguments):
    write("fork_exec", arguments[:1])
    return _fork_exec(*arguments)


_fork_exec, _posixsubprocess.fork_exec = _posixsubprocess.fork_exec, fork_exec
sys.addaudithook(hook)
"""


class Audit:
    """The processes and C functions that a server has started."""

    def __init__(self, folder: Path):
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self._events = folder / "events"
        # With a variable that the interpreter reads at its start, the server is started and not forked.
        begun = {"PYTHONNOUSERSITE": "1"}
        self.env = {**on_path(folder), **begun, "CALOTYPE_TEST_AUDIT": str(self._events)}
        self._seen = 0

    def begin(self) -> list[str]:
        """Return the events up to now, one a line, and leave them out of later results."""
        events = self.events()
        self._seen += len(events)
        return events

    def events(self) -> list[str]:
        """Return the events since `begin`."""
        return self._events.read_text().splitlines()[self._seen :]
