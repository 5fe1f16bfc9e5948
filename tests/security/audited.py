"""A folder for PYTHONPATH: a Python process writes down each process that it starts, and each C function.

An audit hook sees what subprocess, os and ctypes are asked for, by whatever spelling and from any library.
multiprocessing starts programs without an audit event, by the function that is wrapped here.
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
    """What a server has started, from the beginning or since `begin`."""

    def __init__(self, folder: Path):
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        self._events = folder / "events"
        # Read by the interpreter when it begins, so that the server is started and not forked.
        begun = {"PYTHONNOUSERSITE": "1"}
        self.env = {**on_path(folder), **begun, "CALOTYPE_TEST_AUDIT": str(self._events)}
        self._seen = 0

    def begin(self) -> list[str]:
        """Return what there was so far, a line for each event, and look at later ones only."""
        events = self.events()
        self._seen += len(events)
        return events

    def events(self) -> list[str]:
        """Return what there was since `begin`."""
        return self._events.read_text().splitlines()[self._seen :]
