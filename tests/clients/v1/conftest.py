"""The clients of v1, with each identity method. Their servers may fetch from a small web server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import write_keystone_ini
from tests.clients.v1.programs_of import Programs
from tests.servers.identity import Admin, token_of
from tests.support.callers import Tokens
from tests.support.server import Server, write_ini
from tests.support.web import Web


@pytest.fixture(scope="session")
def source() -> Iterator[Web]:
    """A web server from which images can be fetched."""
    with Web() as running:
        yield running


def _settings(source: Web) -> dict[str, str]:
    return {
        "store.http.allowed_networks": "127.0.0.1/32",
        "store.http.ports": str(source.port),
        "store.http.retries": "0",
    }


@pytest.fixture(scope="module")
def v1_without_identities(
    tmp_path_factory: pytest.TempPathFactory, client_bin: Path, source: Web
) -> Iterator[Programs]:
    """Clients of a server without authentication."""
    folder = tmp_path_factory.mktemp("v1-none")
    server = Server(folder, write_ini(folder, _settings(source)))
    yield Programs(client_bin, folder, server, "")
    server.stop()


@pytest.fixture(scope="module")
def v1_with_tokens(
    tmp_path_factory: pytest.TempPathFactory, client_bin: Path, source: Web
) -> Iterator[Programs]:
    """Clients of a server with tokens, with an administrator's, because only administrators may publish."""
    folder = tmp_path_factory.mktemp("v1-tokens")
    tokens = Tokens(folder)
    token = tokens.add("operator", "demo", ("admin",), None)
    server = Server(folder, write_ini(folder, {**_settings(source), **tokens.settings}))
    yield Programs(client_bin, folder, server, token)
    server.stop()


@pytest.fixture(scope="module")
def v1_with_keystone(
    tmp_path_factory: pytest.TempPathFactory, client_bin: Path, source: Web, keystone: dict[str, str]
) -> Iterator[Programs]:
    """Clients of a server behind keystonemiddleware, in its own region of Keystone's catalogue."""
    folder = tmp_path_factory.mktemp("v1-keystone")
    server = Server(folder, write_keystone_ini(folder, _settings(source), keystone))
    admin = Admin(keystone["KEYSTONE_URL"], keystone["KEYSTONE_PASSWORD"])
    admin.endpoint("glance of v1", "image", server.base, "v1")
    variables = {
        "OS_AUTH_URL": keystone["KEYSTONE_URL"],
        "OS_USERNAME": "admin",
        "OS_PASSWORD": keystone["KEYSTONE_PASSWORD"],
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": "v1",
        "OS_IDENTITY_API_VERSION": "3",
    }
    yield Programs(client_bin, folder, server, token_of(keystone, "admin"), variables)
    server.stop()


#: Each command of a client takes a second, so the other identity methods run with `make campaigns`.
MODES = ("none", *(pytest.param(mode, marks=pytest.mark.campaign) for mode in ("tokens", "keystone")))


@pytest.fixture(scope="module", params=MODES)
def programs(request: pytest.FixtureRequest) -> Programs:
    """The clients, with each identity method."""
    names = {"none": "v1_without_identities", "tokens": "v1_with_tokens", "keystone": "v1_with_keystone"}
    return request.getfixturevalue(names[request.param])
