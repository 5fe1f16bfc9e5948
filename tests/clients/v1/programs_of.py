"""glance and openstacksdk with Images v1, as processes that use one server."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.support.server import Server

HERE = Path(__file__).resolve().parent / "programs"


@dataclass(frozen=True)
class Programs:
    """Where the clients are, where they run, and with which token (none: the server asks for none).

    `keystone` are the variables by which a client gets a token, and the server's URL, from Keystone itself.
    """

    bin: Path
    folder: Path
    server: Server
    token: str
    keystone: Mapping[str, str] = field(default_factory=dict)

    def glance(self, *argv: str, stdin: str | bytes = "closed", fails: bool = False) -> str:
        """Run `glance`, and return what it printed; with `fails`, what it said of an error.

        `stdin` is "closed", "terminal", or bytes that are piped in.
        """
        command = [
            *(self.bin / "glance", "--os-image-api-version", "1"),
            *(
                ()
                if self.keystone
                else ("--os-auth-token", self.token or "x", "--os-image-url", self.server.base)
            ),
            *argv,
        ]
        with self._input(stdin) as given:
            done = subprocess.run(
                # Only a shell can start a program without any standard input.
                ["sh", "-c", 'exec "$@" <&-' if stdin == "closed" else 'exec "$@"', "sh", *command],
                **given,
                capture_output=True,
                cwd=self.folder,
                env={**self._env, "PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8", "COLUMNS": "200"},
                timeout=120,
            )
        printed, said = done.stdout.decode(), done.stderr.decode()
        assert bool(done.returncode) == fails, (argv, done.returncode, printed, said)
        assert "Traceback" not in said, said
        return printed + said if fails else printed

    def shell(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a script in a terminal, with the clients and the token in its environment."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        with self._input("terminal") as given:
            return subprocess.run(
                ["bash", "-eu", "-c", script],
                **given,
                cwd=folder,
                env={**self._env, "PATH": path, "TOKEN": self.token},
                capture_output=True,
                text=True,
                timeout=300,
            )

    @property
    def _env(self) -> dict[str, str]:
        return {**os.environ, **self.keystone}

    @contextlib.contextmanager
    def _input(self, stdin: str | bytes) -> Iterator[dict[str, bytes | int | IO[bytes]]]:
        if stdin == "terminal":
            ours, theirs = pty.openpty()
            try:
                yield {"stdin": theirs}
            finally:
                os.close(ours)
                os.close(theirs)
        else:
            yield {"input": stdin} if isinstance(stdin, bytes) else {"stdin": subprocess.DEVNULL}

    def record(self, *argv: str, stdin: str | bytes = "closed") -> dict[str, str]:
        """Run `glance`, and return the record from the table that it printed."""
        return dict(row[:2] for row in _rows(self.glance(*argv, stdin=stdin)) if row[0] != "Property")

    def table(self, *argv: str) -> list[dict[str, str]]:
        """Run `glance`, and return the rows of the table that it printed."""
        rows = _rows(self.glance(*argv))
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    def sdk(self, name: str, *argv: str) -> dict[str, Any]:
        """Run one of `programs/`, and return its results."""
        done = subprocess.run(
            [self.bin / "python", HERE / name, f"{self.server.base}/v1", self.token, *argv],
            capture_output=True,
            cwd=self.folder,
            env=self._env,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)


def _rows(printed: str) -> list[list[str]]:
    lines = [line for line in printed.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
