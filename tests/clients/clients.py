"""Current clients, run as their users run them: as processes, from a virtual environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import common
from tests.support.server import Server

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"


def environment(name: str, requirements: Path) -> Path:
    """Return the bin folder of a virtual environment with these requirements, which is made once."""

    def install(folder: Path) -> None:
        common.call([sys.executable, "-m", "venv", folder])
        common.call([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements])

    return common.installed(name, sys.version + requirements.read_text(), install) / "bin"


@dataclass(frozen=True)
class Clients:
    """The clients, configured for one server and user by environment variables."""

    server: Server
    bin: Path
    home: Path
    env: Mapping[str, str]
    glance_env: Mapping[str, str]

    def run(self, *argv: object, env: Mapping[str, str] | None = None, fails: bool = False) -> str:
        """Run a client and return its output. With `fails`, it must fail."""
        done = subprocess.run(
            [self.bin / str(argv[0]), *map(str, argv[1:])],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **(self.env if env is None else env)},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, (argv, said)
        assert "Traceback" not in said, said
        return said if fails else done.stdout

    def openstack(self, *argv: object, **given: Any) -> str:
        """Run `openstack ...` and return its output."""
        return self.run("openstack", *argv, **given)

    def shown(self, *argv: object) -> Any:
        """Run `openstack ... -f json` and return the parsed output."""
        return json.loads(self.openstack(*argv, "-f", "json"))

    def glance(self, *argv: object, **given: Any) -> str:
        """Run `glance ...` and return its output."""
        return self.run("glance", *argv, env=self.glance_env, **given)

    def made(self, *argv: object) -> dict[str, str]:
        """Run `glance ...` and return the properties of the table that it prints, as text."""
        rows = [line.strip("| ").split("|", 1) for line in self.glance(*argv).splitlines() if "|" in line]
        return {row[0].strip(): row[1].strip() for row in rows}

    def program(self, name: str, *argv: object) -> Any:
        """Run a program of `programs/` and return its parsed JSON output."""
        return json.loads(self.run("python", PROGRAMS / name, *argv))
