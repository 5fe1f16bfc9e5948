"""strace: a running process is killed at its n-th call of a kind, or that call fails.

Each thread counts its own calls, from when strace comes to it.
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
    """What happens at a call: `signal=KILL` before it is made, or `error=EIO` in its stead.

    `when` is strace's: `3` for the third one, `3+` for that and all after it.
    """

    calls: tuple[str, ...]
    effect: str
    when: str

    @property
    def options(self) -> list[str]:
        """strace's options for it."""
        calls = ",".join(self.calls)
        return ["-e", f"trace={calls}", "-e", f"inject={calls}:{self.effect}:when={self.when}"]

    def __str__(self) -> str:
        return f"{','.join(self.calls)}:{self.effect}:when={self.when}"


#: The effect that ends the process.
KILL = "signal=KILL"


@contextlib.contextmanager
def attached(pid: int, injection: Injection) -> Iterator[None]:
    """The injection at work in a running process, for as long as the `with` lasts or the process lives."""
    with _tracing(pid, ["-o", "/dev/null", *injection.options]):
        yield


@contextlib.contextmanager
def counting(pid: int, calls: tuple[str, ...], log: Path) -> Iterator[collections.Counter[str]]:
    """Count a running process's calls; after the `with`, the most that any one thread made of each."""
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
    """Where strace is; installed first if need be and allowed."""
    if not shutil.which("strace"):
        apt("strace")
    return shutil.which("strace") or "strace"
