"""One environment with the released wheels and a third party's, for all tests here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.third_party.environment import Environment

WEBDAV = "tests/third_party/tintype-store-webdav"
DRIVERS = [f"plugins/store_{name}" for name in ("file", "s3", "swift", "http")]


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """A fresh environment with nothing but pip in it; it is large, so it does not outlive the session."""
    with tempfile.TemporaryDirectory(prefix="tintype-environment-") as folder:
        yield Environment(Path(folder, "venv"))


@pytest.fixture(scope="session")
def wheels(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Source folder -> wheel, of the core, each driver of the tree, and the third party's."""
    return environment.build_wheels(["core", *DRIVERS, WEBDAV], tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def installed(environment: Environment, wheels: dict[str, Path]) -> Environment:
    """The environment with core, the file store and the third party's; the rest is the package index's."""
    ours = [wheels["plugins/store_file"], wheels[WEBDAV]]
    environment.pip("install", "--quiet", f"tintype-core[testing] @ {wheels['core'].as_uri()}", *ours)
    return environment
