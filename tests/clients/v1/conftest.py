"""The clients of v1, without and with tokens; their servers may fetch from a small web server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.v1.programs_of import Programs
from tests.functional.v1.source import Source, serving
from tests.running.server import Server, write_ini
from tintype.tokens import TokenFile


@pytest.fixture(scope="session")
def source() -> Iterator[Source]:
    """A web server that images can be fetched from."""
    with serving() as running:
        yield running


def _settings(source: Source) -> dict[str, str]:
    return {
        "store.http.allowed_networks": "127.0.0.1/32",
        "store.http.ports": str(source.port),
        "store.http.retries": "0",
    }


@pytest.fixture(scope="session")
def v1_without_identities(
    tmp_path_factory: pytest.TempPathFactory, client_bin: Path, source: Source
) -> Iterator[Programs]:
    """Clients of a server that lets everybody in."""
    folder = tmp_path_factory.mktemp("v1-none")
    server = Server(folder, write_ini(folder, _settings(source)))
    yield Programs(client_bin, folder, server, "")
    server.stop()


@pytest.fixture(scope="session")
def v1_with_tokens(
    tmp_path_factory: pytest.TempPathFactory, client_bin: Path, source: Source
) -> Iterator[Programs]:
    """Clients of a server that knows its callers; they are an admin's, who alone may publish."""
    folder = tmp_path_factory.mktemp("v1-tokens")
    tokens = folder / "tokens.json"
    token = TokenFile(tokens).add("operator", "demo", ("admin",), None)
    settings = {**_settings(source), "tintype.identity": "tokens", "tintype.tokens_file": str(tokens)}
    server = Server(folder, write_ini(folder, settings))
    yield Programs(client_bin, folder, server, token)
    server.stop()


#: Each command of a client takes a second: all of them in the other mode run with `make campaigns`.
MODES = ("none", pytest.param("tokens", marks=pytest.mark.campaign))


@pytest.fixture(scope="session", params=MODES)
def programs(request: pytest.FixtureRequest) -> Programs:
    """The clients, in each way that they can be known."""
    names = {"none": "v1_without_identities", "tokens": "v1_with_tokens"}
    return request.getfixturevalue(names[request.param])
