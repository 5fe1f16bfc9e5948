"""The command `calotype` beside a server, with a home of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from calotype_client.cli.main import main
from tests.support.server import Server
from tests.support.v2 import People, start
from tests.support.web import Web

#: Variables of the developer that would choose another server.
_FOREIGN = ("OS_", "CALOTYPE_", "XDG_", "NO_COLOR", "COLUMNS", "http_proxy", "https_proxy")


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Return the output as text."""
        return self.out.decode()

    @property
    def json(self) -> Any:
        """Return the output as a JSON document."""
        return json.loads(self.out)


class Command:
    """Runs `calotype` in a folder and a home of its own."""

    def __init__(self, folder: Path, variables: Mapping[str, str]):
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.environ = {"HOME": str(self.home), "COLUMNS": "200", **variables}

    def run(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run a command in this process, which is faster, and return its result."""
        out, err = io.BytesIO(), io.StringIO()
        kept = dict(os.environ), Path.cwd(), sys.stdin, sys.stdout, sys.stderr
        os.environ.clear()
        os.environ.update({"PATH": kept[0].get("PATH", ""), **self.environ})
        os.chdir(self.folder)
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
        sys.stderr = err
        try:
            status = main(list(arguments))
            sys.stdout.flush()
        finally:
            os.environ.clear()
            os.environ.update(kept[0])
            os.chdir(kept[1])
            sys.stdin, _, sys.stderr = kept[2], sys.stdout, kept[4]
            sys.stdout = kept[3]
        return Result(status, out.getvalue(), err.getvalue())

    def ok(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run a command that must succeed."""
        result = self.run(*arguments, stdin=stdin)
        assert result.status == 0, result.err + result.text
        return result

    def record(self, *arguments: str, stdin: bytes = b"") -> Any:
        """Run a command that must succeed, and return the JSON document that it prints."""
        return self.ok(arguments[0], "-o", "json", *arguments[1:], stdin=stdin).json

    def start(self, *arguments: str, **given: Any) -> subprocess.Popen[bytes]:
        """Start the command in a process of its own."""
        program = Path(sys.executable).with_name("calotype")
        return subprocess.Popen(
            [program, *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **given,
        )

    def file(self, name: str, data: bytes) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_bytes(data)
        return path


@pytest.fixture
def command(server: Server, tmp_path: Path) -> Command:
    """The command with the shared server of calotype.ini as its default."""
    return Command(tmp_path, {"CALOTYPE_URL": server.base})


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server from which images are imported."""
    with Web() as running:
        yield running


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[People]:
    """A server with three stores, and callers with tokens."""
    made = start(tmp_path_factory.mktemp("people"), web, **{"calotype.delete_grace": "1h"})
    yield made
    made.server.stop()


@pytest.fixture
def commands(people: People, tmp_path: Path) -> dict[str, Command]:
    """The command of each of the callers with tokens, in one folder."""
    made = {}
    for name in ("u1", "u2", "adm"):
        folder = tmp_path / name
        folder.mkdir()
        variables = {"CALOTYPE_URL": people.server.base, "CALOTYPE_TOKEN": getattr(people, name).token}
        made[name] = Command(folder, variables)
    return made
