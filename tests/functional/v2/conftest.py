"""A server with tokens, two file stores and one that reads from the web; and those who ask it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.functional.v2.people import People, Person, fresh
from tests.running.server import Server, write_ini
from tintype.tokens import TokenFile

StartPeople = Callable[..., People]

STORES = {
    "tintype.stores": "fast cold web",
    "tintype.default_store": "fast",
    "tintype.identity": "tokens",
    "store.file.path": "",
    "store.file.create": "",
    "store.fast.driver": "file",
    "store.fast.path": "${data_dir}/fast",
    "store.fast.create": "true",
    "store.cold.driver": "file",
    "store.cold.path": "${data_dir}/cold",
    "store.cold.create": "true",
    "store.web.driver": "http",
    "store.web.retries": "0",
}


class Web:
    """A web server on the loopback address, and the folder that it serves."""

    def __init__(self, folder: Path, port: int):
        self.folder = folder
        self.port = port

    def place(self, data: bytes) -> str:
        """Put bytes onto it, and return their URL."""
        name = fresh()
        (self.folder / name).write_bytes(data)
        return f"http://127.0.0.1:{self.port}/{name}"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server."""
    folder = tmp_path_factory.mktemp("web")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield Web(folder, running.server_port)
        running.shutdown()
        thread.join()


def start(folder: Path, web: Web, **settings: str) -> People:
    """Start a server in the folder, with a token for everybody."""
    tokens = TokenFile(folder / "tokens.json")
    given = {
        name: tokens.add(name, project, (role,))
        for name, project, role in (
            ("u1", "P1", "member"),
            ("u2", "P2", "member"),
            ("r1", "P1", "reader"),
            ("adm", "P0", "admin"),
        )
    }
    source = {"store.web.ports": f"80 443 {web.port}", "store.web.allowed_networks": "127.0.0.1/32"}
    app = {**STORES, **source, "tintype.tokens_file": str(folder / "tokens.json"), **settings}
    running = Server(folder, write_ini(folder, app))
    projects = {"u1": "P1", "u2": "P2", "r1": "P1", "adm": "P0"}
    return People(running, **{name: Person(running, projects[name], token) for name, token in given.items()})


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[People]:
    """Those who ask one server that all tests share."""
    found = start(tmp_path_factory.mktemp("people"), web)
    yield found
    found.server.stop()


@pytest.fixture
def start_people(tmp_path: Path, web: Web) -> Iterator[StartPeople]:
    """start_people(**{setting: value}): those who ask a server of this test's own."""
    with ExitStack() as stack:

        def begin(**settings: str) -> People:
            folder = tmp_path / fresh()
            folder.mkdir()
            found = start(folder, web, **settings)
            stack.callback(found.server.stop)
            return found

        yield begin


@pytest.fixture
def u1(people: People) -> Person:
    """A member of project P1."""
    return people.u1


@pytest.fixture
def u2(people: People) -> Person:
    """A member of project P2."""
    return people.u2


@pytest.fixture
def r1(people: People) -> Person:
    """A reader of project P1."""
    return people.r1


@pytest.fixture
def adm(people: People) -> Person:
    """An administrator."""
    return people.adm
