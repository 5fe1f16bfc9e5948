"""strace: kill a running process at its n-th call of a kind, or make that call fail.

The calls of each thread are counted separately, from the moment at which strace attaches.
"""

from __future__ import annotations

import collections
import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.common import apt


@dataclass(frozen=True)
class Injection:
    """The fault that strace injects at a call: `signal=KILL` before it, or `error=EIO` instead of it.

    `when` is strace's option: `3` for the third call, `3+` for the third and all later ones.
    """

    calls: tuple[str, ...]
    effect: str
    when: str

    @property
    def options(self) -> list[str]:
        """The options of strace."""
        calls = ",".join(self.calls)
        return ["-e", f"trace={calls}", "-e", f"inject={calls}:{self.effect}:when={self.when}"]

    def __str__(self) -> str:
        return f"{','.join(self.calls)}:{self.effect}:when={self.when}"


#: The effect that ends the process.
KILL = "signal=KILL"


@contextlib.contextmanager
def attached(pid: int, injection: Injection) -> Iterator[None]:
    """Inject into a running process until the block ends or the process is dead."""
    with _tracing(pid, ["-o", "/dev/null", *injection.options]):
        yield


@contextlib.contextmanager
def counting(pid: int, calls: tuple[str, ...], log: Path) -> Iterator[collections.Counter[str]]:
    """Yield a counter that holds, after the block, the largest number of each call by one thread."""
    most: collections.Counter[str] = collections.Counter()
    with _tracing(pid, ["-o", str(log), "-e", f"trace={','.join(calls)}"]):
        yield most
    made = collections.Counter(re.findall(r"^(\d+) +(\w+)\(", log.read_text(errors="replace"), re.M))
    for (_, call), number in made.items():
        most[call] = max(most[call], number)


@contextlib.contextmanager
def _tracing(pid: int, options: list[str]) -> Iterator[None]:
    command = [program(), "-f", "-p", str(pid), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        try:
            said = tracer.stderr.readline()
            if "attached" not in said:
                raise RuntimeError(f"strace could not attach: {said}{tracer.stderr.read()}")
            yield
        finally:
            tracer.terminate()


def program() -> str:
    """Return the path of strace, which is installed first if necessary and allowed."""
    if not shutil.which("strace"):
        apt("strace")
    return shutil.which("strace") or "strace"
