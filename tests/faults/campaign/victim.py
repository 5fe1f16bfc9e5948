"""The victim: a server that is killed, on a database and two file stores, and the operator's commands."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from click.testing import CliRunner
from pydantic import SecretStr

from calotype.app import open_service
from calotype.cli.ini import load_settings
from calotype.cli.manage import main as manage
from calotype.service import Service
from tests.faults.campaign.surroundings import PLAIN, Surroundings
from tests.support.answers import Answer
from tests.support.forked import Forked
from tests.support.server import Server, write_ini
from tests.support.v2 import stores
from tests.support.web import Web

#: The shortest possible lease, because a campaign waits for the leases of dead processes.
LEASE = 1.0
#: The text that a server logs once it takes connections.
_LISTENING = "listening on"


class Broken(Exception):
    """A command of the operator ended with a traceback; the error can be sent to another process."""


class Victim(Server):
    """A server that is started again and again. Only the campaign sweeps."""

    def __init__(
        self,
        folder: Path,
        database: str,
        web: Web,
        settings: Mapping[str, str],
        server: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        """`database` is used by the campaign, and by the victim unless its `settings` name another URL.

        `headers` are sent with each request.
        """
        folder.mkdir(parents=True, exist_ok=True)
        app = {
            **stores(web),
            "sqlalchemy.url": database,
            "calotype.lease": str(LEASE),
            "calotype.sweep_interval": "0",
            **settings,
        }
        self.web = web
        #: The headers of all requests of its clients.
        self.client_headers = dict(headers or {})
        self._database = database
        self._others: list[subprocess.Popen[bytes] | Forked] = []
        super().__init__(folder, write_ini(folder, app, server), env=env)

    def join(self, env: Mapping[str, str] | None = None) -> None:
        """Start another process on the same port (`reuse_port`), the same database and the same stores.

        `env` holds the variables that differ from those of the first process.
        """
        arguments = [str(self.ini), f"http_port={self.port}", f"data_dir={self.data_dir}"]
        before = self.log.count(_LISTENING)
        own = self._env
        self._env = {**own, **(env or {})}
        self._others.append(self._spawn(arguments))
        self._env = own
        while self.log.count(_LISTENING) == before:
            pause(0.05)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """Send one request as `Server.request`, with the headers of this victim's clients."""
        return super().request(method, path, {**self.client_headers, **(headers or {})}, body)

    @cached_property
    def service(self) -> Service:
        """The service without HTTP, in this process, to read its database and submit jobs."""
        settings = load_settings(str(self.ini), {"data_dir": str(self.data_dir)})
        if "${" in self._database:
            return open_service(settings, makes_database=True)
        return open_service(
            settings.model_copy(update={"database_url": SecretStr(self._database)}), makes_database=True
        )

    def run(self, *words: str, of: str = "") -> tuple[int, str]:
        """Return the exit status and the output of `calotype-manage WORDS INI [OF] data_dir=...`."""
        arguments = [*words, str(self.ini), *([of] if of else []), f"data_dir={self.data_dir}"]
        done = CliRunner().invoke(manage, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise Broken(
                f"calotype-manage {' '.join(words)} ended with {done.exception!r}"
            ) from done.exception
        return done.exit_code, done.output

    def await_death(self, seconds: float) -> bool:
        """Return whether the victim dies within this many seconds."""
        with contextlib.suppress(TimeoutError):
            self.process.wait(seconds)
            return True
        return False

    def kill_all(self) -> None:
        """Kill the victim and the processes that joined it."""
        self.kill()
        for other in self._others:
            other.send_signal(signal.SIGKILL)
            other.wait(30)
        self._others.clear()

    def close(self) -> None:
        """Stop the victim for good."""
        self.kill_all()
        if "service" in self.__dict__:
            self.service.close()


@contextlib.contextmanager
def victim(
    folder: Path,
    database: str,
    settings: Mapping[str, str] | None = None,
    server: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    surroundings: Surroundings = PLAIN,
) -> Iterator[Victim]:
    """Yield a victim, with a web server that it fetches from; both run until the block ends."""
    (folder / "web").mkdir(parents=True)
    with Web(folder=folder / "web") as web:
        given = surroundings.make(folder)
        settings = {**given.settings, **(settings or {})}
        running = Victim(folder / "victim", database, web, settings, server or {}, env, given.headers)
        try:
            yield running
        finally:
            running.close()


def pause(seconds: float) -> None:
    """Wait for this many seconds, while the victim works or a lease expires."""
    time.sleep(max(0.0, seconds))
