"""A server with tokens, two file stores and one that reads from the web; and a web server."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from calotype.identity.token_file import TokenFile
from tests.functional.v2.people import People, Person, fresh
from tests.support.server import Server, write_ini

STORES = {
    "calotype.stores": "fast cold web",
    "calotype.default_store": "fast",
    "store.file.path": "",
    "store.file.create": "",
    "store.fast.driver": "file",
    "store.fast.path": "${data_dir}/fast",
    "store.fast.create": "true",
    "store.cold.driver": "file",
    "store.cold.path": "${data_dir}/cold",
    "store.cold.create": "true",
    "store.web.driver": "http",
    "calotype.external_sources": "everyone",
    "store.web.retries": "0",
    "calotype.job_patience": "2",  # a source that cannot be reached fails by and by
}


Page = Callable[[http.server.BaseHTTPRequestHandler], None]


class Web:
    """A web server on the loopback address, and the folder that it serves.

    `closed` is a port beside it where nobody listens, nor ever will.
    """

    def __init__(self, folder: Path, port: int, closed: int, pages: dict[str, Page]):
        self.folder = folder
        self.port = port
        self.closed = closed
        self._pages = pages

    def answer(self, page: Page) -> str:
        """Have requests for a path of its own answered by the page, and return their URL."""
        name = fresh()
        self._pages[f"/{name}"] = page
        return f"http://127.0.0.1:{self.port}/{name}"

    def place(self, data: bytes) -> str:
        """Put bytes onto it, and return their URL."""
        name = fresh()
        (self.folder / name).write_bytes(data)
        return f"http://127.0.0.1:{self.port}/{name}"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    pages: dict[str, Page]

    def do_GET(self) -> None:
        """Answer by the path's own page, or with the file."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            super().do_GET()
        else:
            page(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Calm(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in mid-download is no news."""


@contextmanager
def serve_folder(folder: Path) -> Iterator[Web]:
    """A web server that serves the folder, as long as the `with` lasts."""
    pages: dict[str, Page] = {}
    handler = partial(type("Handler", (_Quiet,), {"pages": pages}), directory=folder)
    with socket.socket() as closed, _Calm(("127.0.0.1", 0), handler) as running:
        closed.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield Web(folder, running.server_port, closed.getsockname()[1], pages)
        finally:
            running.shutdown()
            thread.join()


def stores(web: Web) -> dict[str, str]:
    """The settings of the three stores; `web` may be fetched from."""
    return {
        **STORES,
        "store.web.ports": f"80 443 {web.port} {web.closed}",
        "store.web.allowed_networks": "127.0.0.1/32",
    }


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
    identity = {"calotype.identity": "tokens", "calotype.tokens_file": str(folder / "tokens.json")}
    app = {**stores(web), **identity, **settings}
    running = Server(folder, write_ini(folder, app))
    projects = {"u1": "P1", "u2": "P2", "r1": "P1", "adm": "P0"}
    return People(running, **{name: Person(running, projects[name], token) for name, token in given.items()})
