"""A session-scoped fixture for each real server: a dict of its settings, as its script prints them.

A server whose marker variable is in the environment, as below `run`, is used as it is; any other is
started when the first test asks for it, for all workers of pytest-xdist, and stopped when the run ends.
All that the session starts ends with the process that was called, even when that is killed.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.servers.common import RUN, UNAVAILABLE, run_folder

SERVERS = Path(__file__).resolve().parent

Settings = Mapping[str, str]


def pytest_configure(config: pytest.Config) -> None:
    """Make the session a run, which ends in good order when it is terminated, as by `timeout`."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    if hasattr(config, "workerinput"):  # of pytest-xdist; the process that has started it is the run
        return
    run = ExitStack()
    run.enter_context(run_folder())
    config.add_cleanup(run.close)


def _start(name: str, folder: str, env: Settings) -> dict[str, str]:
    """The settings of the server that the script of this name has started in the folder."""
    done = subprocess.run(
        [SERVERS / name, "start", folder], env={**os.environ, **env}, text=True, capture_output=True
    )
    if done.returncode == UNAVAILABLE and "CI" not in os.environ:
        pytest.skip(done.stderr.strip())
    if done.returncode:
        pytest.fail(done.stderr.strip(), pytrace=False)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


@contextmanager
def started(name: str, env: Settings | None = None) -> Iterator[dict[str, str]]:
    """A server of this kind for as long as the `with` lasts; `env` adds to its script's environment."""
    # Not pytest's tmp_path: PostgreSQL's and MariaDB's own users must be able to reach the folder.
    with tempfile.TemporaryDirectory(prefix=f"calotype-{name}-", dir=os.environ.get(RUN)) as parent:
        os.chmod(parent, 0o711)
        folder = f"{parent}/{name}"
        try:
            yield _start(name, folder, env or {})
        finally:
            subprocess.run([SERVERS / name, "stop", folder], check=True)


@contextmanager
def given_or_started(name: str, marker: str, env: Settings | None = None) -> Iterator[Settings]:
    """The server that the environment tells of, else the run's own, which the first to ask starts."""
    if marker in os.environ:
        yield dict(os.environ)
    else:
        # The script starts one in this folder if none is there, and else prints its settings again.
        yield _start(name, f"{os.environ[RUN]}/{name}", env or {})


@pytest.fixture(scope="session")
def swift() -> Iterator[Settings]:
    """Swift with tempauth, and its S3 API: SWIFT_* and S3_*, over HTTP and TLS."""
    with given_or_started("swift", "S3_TLS_ENDPOINT", {"KEYSTONE_URL": ""}) as settings:
        yield settings


@pytest.fixture(scope="session")
def ceph() -> Iterator[Settings]:
    """Ceph's gateway: S3_* and SWIFT_* over HTTP. Never from the environment."""
    with started("ceph") as settings:
        yield settings


@pytest.fixture(scope="session")
def keystone() -> Iterator[Settings]:
    """Keystone with a handful of users and projects: KEYSTONE_*."""
    with given_or_started("keystone", "KEYSTONE_URL") as settings:
        yield settings


@pytest.fixture(scope="session")
def swift_keystone(keystone: Settings) -> Iterator[Settings]:
    """Swift that takes that Keystone's tokens: SWIFT_URL and what `keystone` has."""
    with started("swift", keystone) as settings:
        yield {**keystone, **settings}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Settings]:
    """PostgreSQL: POSTGRES_URL and PG*; its one role may create databases."""
    with given_or_started("postgres", "POSTGRES_URL") as settings:
        yield settings


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Settings]:
    """MariaDB: MYSQL_*; its one user may create databases."""
    with given_or_started("mariadb", "MYSQL_URL") as settings:
        yield settings


@pytest.fixture(scope="session")
def chromium() -> Iterator[Settings]:
    """No server: CHROMIUM is the program of Debian's browser."""
    with given_or_started("chromium", "CHROMIUM") as settings:
        yield settings


@pytest.fixture(scope="session")
def nginx() -> Iterator[Callable[..., Settings]]:
    """nginx(upstream, files=None): start one before that service (http://host:port), and return NGINX_*."""
    with ExitStack() as stack:

        def start(upstream: str, files: str | Path | None = None) -> Settings:
            env = {"UPSTREAM": upstream, **({"FILES": str(files)} if files else {})}
            return stack.enter_context(started("nginx", env))

        yield start
