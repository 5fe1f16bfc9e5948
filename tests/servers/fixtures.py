"""A session-scoped fixture for each real server: a dict of its settings, as its script prints them.

If the environment names a running server, as in `run`, that server is used. Otherwise the first test that
needs it starts it for all workers of pytest-xdist, and it stops when the run ends. All that the session
starts ends with its main process, even if that is killed.
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
from tests.servers.identity import Admin

SERVERS = Path(__file__).resolve().parent

Settings = Mapping[str, str]


def pytest_configure(config: pytest.Config) -> None:
    """Make the session a run, which ends properly when it is terminated, for example by `timeout`."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    if hasattr(config, "workerinput"):  # of pytest-xdist, whose main process is the run
        return
    run = ExitStack()
    run.enter_context(run_folder())
    config.add_cleanup(run.close)


def _start(name: str, folder: str, env: Settings) -> dict[str, str]:
    """Start the server of this script in the folder, and return its settings."""
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
    """Run a server of this kind for the block. `env` is added to its script's environment."""
    # Not in pytest's tmp_path, because the users of PostgreSQL and MariaDB must reach the folder.
    with tempfile.TemporaryDirectory(prefix=f"calotype-{name}-", dir=os.environ.get(RUN)) as parent:
        os.chmod(parent, 0o711)
        folder = f"{parent}/{name}"
        try:
            yield _start(name, folder, env or {})
        finally:
            subprocess.run([SERVERS / name, "stop", folder], check=True)


@contextmanager
def given_or_started(name: str, marker: str, env: Settings | None = None) -> Iterator[Settings]:
    """Use the server that the environment names, or the run's own, which the first caller starts."""
    if marker in os.environ:
        yield dict(os.environ)
    else:
        # If a server already runs in this folder, the script only prints its settings.
        yield _start(name, f"{os.environ[RUN]}/{name}", env or {})


@pytest.fixture(scope="session")
def swift() -> Iterator[Settings]:
    """Swift with tempauth, and its S3 API: SWIFT_* and S3_*, over HTTP and TLS."""
    with given_or_started("swift", "S3_TLS_ENDPOINT", {"KEYSTONE_URL": ""}) as settings:
        yield settings


@pytest.fixture(scope="session")
def ceph() -> Iterator[Settings]:
    """Ceph's gateway: S3_* and SWIFT_* over HTTP. It is never taken from the environment."""
    with started("ceph") as settings:
        yield settings


@pytest.fixture(scope="session")
def keystone() -> Iterator[Settings]:
    """Keystone with a few users and projects: KEYSTONE_*."""
    with given_or_started("keystone", "KEYSTONE_URL") as settings:
        yield settings


@pytest.fixture(scope="session")
def swift_keystone(keystone: Settings) -> Iterator[Settings]:
    """Swift that accepts the tokens of `keystone`: SWIFT_URL and the settings of `keystone`."""
    with started("swift", keystone) as settings:
        yield {**keystone, **settings}


@pytest.fixture(scope="session")
def glance() -> Iterator[Settings]:
    """Glance without authentication: GLANCE_URL."""
    with given_or_started("glance", "GLANCE_URL", {"KEYSTONE_URL": ""}) as settings:
        yield settings


@pytest.fixture(scope="session")
def glance_keystone(keystone: Settings) -> Iterator[Settings]:
    """Glance in the catalogue of `keystone`: GLANCE_URL and the settings of `keystone`."""
    with started("glance", keystone) as settings:
        admin = Admin(keystone["KEYSTONE_URL"], keystone["KEYSTONE_PASSWORD"])
        admin.endpoint("glance", "image", settings["GLANCE_URL"], keystone["KEYSTONE_REGION"])
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
    """nginx(upstream, files=None): start nginx in front of http://host:port, and return NGINX_*."""
    with ExitStack() as stack:

        def start(upstream: str, files: str | Path | None = None) -> Settings:
            env = {"UPSTREAM": upstream, **({"FILES": str(files)} if files else {})}
            return stack.enter_context(started("nginx", env))

        yield start
