"""A reload: the same command runs again in the same process, and keeps the listening sockets.

Before that, a trial runs the command in a process of its own, which ends when it could fork. The descriptors
that the next program inherits are described in an environment variable.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import IO, NoReturn

#: The environment variable that describes what this program has inherited, and the one that makes it a trial.
_HERITAGE, _TRIAL = "CALOTYPE_SERVER_HERITAGE", "CALOTYPE_SERVER_TRIAL"


@dataclass
class Heritage:
    """The sockets, lifelines and processes of the program that this process ran before a reload."""

    #: The descriptors of listening sockets, by the place that the settings named. Unclaimed ones are closed.
    sockets: dict[str, int] = field(default_factory=dict)
    #: The descriptors whose closing ends older processes, and the ids of these processes.
    lifelines: list[int] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    #: The directory that the processes share; None if the operator has named one, or none could be made.
    directory: str | None = None

    def close_sockets(self) -> None:
        """Close the sockets that nothing has claimed."""
        while self.sockets:
            os.close(self.sockets.popitem()[1])


def is_trial() -> bool:
    """Return whether this process only tries whether the service could start."""
    return _TRIAL in os.environ


def is_inherited() -> bool:
    """Return whether there is something to inherit: then a supervisor must look after it."""
    return _HERITAGE in os.environ


def is_next() -> bool:
    """Return whether this program replaces another one in this process, after a trial that went well."""
    return _HERITAGE in os.environ and not is_trial()


def take_heritage() -> Heritage:
    """Return what this program has inherited. A second call returns nothing."""
    return Heritage(**json.loads(os.environ.pop(_HERITAGE, "{}")))


class Trial:
    """A start of the same command that ends before it would serve."""

    def __init__(self, heritage: Heritage):
        """Start it with the listening sockets, so that it opens only those that are new."""
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the trial
        env = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        only_sockets = Heritage(sockets=heritage.sockets)
        self._process = subprocess.Popen(  # noqa: S603 - the command that has started this process
            _command(),
            env={**env, _TRIAL: "1", _HERITAGE: json.dumps(asdict(only_sockets))},
            pass_fds=list(heritage.sockets.values()),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
        )

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """Return the last line that it has written."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def run_again(heritage: Heritage) -> NoReturn:
    """Replace this program with a new start of the same command, which gets the heritage."""
    for descriptor in (*heritage.sockets.values(), *heritage.lifelines):
        os.set_inheritable(descriptor, True)
    command = _command()
    os.execve(command[0], command, {**os.environ, _HERITAGE: json.dumps(asdict(heritage))})  # noqa: S606


def _command() -> list[str]:
    """Return the command that has started this process.

    If it is a script without options of the interpreter, start the script itself. A link on its path may now
    point to a newer version, whose first line names another interpreter.
    """
    if sys.orig_argv[1:] == sys.argv and os.access(sys.argv[0], os.X_OK):
        return [os.path.abspath(sys.argv[0]), *sys.argv[1:]]
    return [sys.executable, *sys.orig_argv[1:]]


def unused(place: str, taken: Iterable[str]) -> str:
    """Return a name for a place that is not taken yet: two listeners may both ask for any free port."""
    names = set(taken)
    while place in names:
        place += "+"
    return place
