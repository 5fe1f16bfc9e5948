"""The admin listener: a second place to listen at, whose requests an application can recognize."""

from __future__ import annotations

import http.client
import os
import re
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from calotype_server import Server, ServerError, ServerSettings, ServerSettingsError, serve
from calotype_server.hooks import Hooks

README = Path(__file__).parents[1] / "README.md"


class Asking:
    """An application that asks for an admin listener, and answers whether a request came through it."""

    def __init__(self, admin_listen: str | None = None, loopback_only: str | None = None):
        self.calotype_server = self
        self.admin_listen = admin_listen
        self.loopback_only = loopback_only

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(environ.get("calotype_server.is_admin")).encode()]


class Filter:
    """A filter before the application, such as keystonemiddleware in a pipeline."""

    def __init__(self, app):
        self._app = app

    def __call__(self, environ, start_response):
        return self._app(environ, start_response)


class Line(http.client.HTTPConnection):
    """An HTTP client over a given socket."""

    def __init__(self, connection: socket.socket):
        super().__init__("localhost")
        self.sock = connection


@contextmanager
def running(admin: str | None) -> Iterator[Server]:
    settings = ServerSettings(listen="127.0.0.1:0", threads=1, upload_threads=1)
    with served(Asking(), settings, settings.listening_at(admin) if admin else None) as server:
        yield server


@contextmanager
def served(app, settings: ServerSettings, admin: ServerSettings | None) -> Iterator[Server]:
    server = Server(app, settings, admin)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)


def answered(connection: socket.socket) -> str:
    with closing(Line(connection)) as line:
        line.request("GET", "/")
        return line.getresponse().read().decode()


def test_an_application_sees_through_which_listener_a_request_came():
    with running("127.0.0.1:0") as server:
        public, admin = (("127.0.0.1", int(listener.effective_port)) for listener in server.listeners)
        assert int(server.effective_port) == public[1]
        assert answered(socket.create_connection(public)) == "False"
        assert answered(socket.create_connection(admin)) == "True"


def test_without_an_admin_listener_requests_have_no_key_for_it():
    with running(None) as server:
        assert answered(socket.create_connection(("127.0.0.1", int(server.effective_port)))) == "None"


def test_the_readme_names_every_key_and_hook():
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [])
        return []

    settings = ServerSettings(listen="127.0.0.1:0")
    with served(application, settings, settings.listening_at("127.0.0.1:0")) as server:
        answered(socket.create_connection(("127.0.0.1", int(server.effective_port))))
    named = re.findall(r"^\| `(\S+?)` \|", README.read_text(), re.M)
    keys = [key for key in seen if key.startswith("calotype_server.")]
    assert sorted(named) == sorted([*keys, *(field.name for field in fields(Hooks))])


def test_the_admin_listener_may_be_a_unix_socket(tmp_path: Path):
    path = tmp_path / "admin.sock"
    with running(f"unix:{path}") as server, socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        assert answered(line) == "True"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert server.addresses[1] == f"unix:{path}"


@pytest.mark.parametrize(
    "app", [Asking("nowhere.invalid:80"), Filter(Asking("nowhere.invalid:80"))], ids=["plain", "filtered"]
)
def test_an_invalid_admin_address_stops_the_start(app):
    with pytest.raises(
        ServerError,
        match=r"^admin_listen: a host in 'nowhere.invalid:80' has no address: write an address of",
    ):
        serve(app, ServerSettings(listen="127.0.0.1:0"))


def test_an_admin_address_that_is_taken_stops_the_start():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ServerError, match=r"^admin_listen: cannot listen on 127.0.0.1:\d+: Address already in use"
        ):
            serve(Asking(f"127.0.0.1:{port}"), ServerSettings(listen="127.0.0.1:0"))


def test_an_admin_address_equal_to_a_public_address_stops_the_start():
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = f"127.0.0.1:{free.getsockname()[1]}"
    for reuse_port in (False, True):  # with reuse_port, both would listen, and share the requests
        with pytest.raises(ServerError, match=rf"^admin_listen: {where} is also the address of"):
            serve(Asking(where), ServerSettings(listen=where, reuse_port=reuse_port))


def test_an_admin_address_that_several_processes_share_is_logged(caplog: pytest.LogCaptureFixture):
    settings = ServerSettings(listen="127.0.0.1:0", reuse_port=True)
    with served(Asking(), settings, settings.listening_at("127.0.0.1:0")) as first:
        port = first.listeners[1].effective_port
        assert "admin_listen" not in caplog.text
        with served(Asking(), settings, settings.listening_at(f"127.0.0.1:{port}")):
            pass
    assert f"another process listens on 127.0.0.1:{port} too, because of reuse_port" in caplog.text
    assert f"({os.getpid()}) answers a request there" in caplog.text


@pytest.mark.parametrize("wrap", [lambda app: app, Filter, lambda app: Filter(Filter(app))])
def test_an_application_for_this_machine_only_has_no_public_admin_address(wrap):
    """A filter in the pipeline does not hide the application's hooks."""
    with socket.create_server(("127.0.0.1", 0)) as taken:  # a server that is not refused cannot listen
        port = taken.getsockname()[1]
        for admin, listen in (("0.0.0.0:0", f"127.0.0.1:{port}"), (None, f"0.0.0.0:{port}")):
            with pytest.raises(ServerError, match="nobody is asked"):
                serve(wrap(Asking(admin, "nobody is asked who they are")), ServerSettings(listen=listen))


def test_an_admin_listener_has_the_other_settings_of_the_public_one(tmp_path: Path):
    settings = ServerSettings(unix_socket=str(tmp_path / "public.sock"), threads=3)
    elsewhere = settings.listening_at("127.0.0.1:0")
    assert (elsewhere.threads, elsewhere.unix_socket, elsewhere.sockets) == (3, None, [])
    assert [where[3][0] for where in elsewhere.listen] == ["127.0.0.1"]
    assert settings.unix_socket == str(tmp_path / "public.sock")
    with pytest.raises(ServerSettingsError):
        settings.listening_at("127.0.0.1:many")
