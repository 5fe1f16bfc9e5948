"""The files that a download opens."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest

from calotype.images.downloads import Reading
from calotype.model.images import Image, Location, LocationState
from calotype.model.states import Status
from calotype.testing import Trickle, pattern
from calotype_store_file import FileStore
from tests.support.workbench import make_catalog

KEY = f"{'0' * 8}-0000-0000-0000-{'0' * 12}.{'0' * 12}"
_opened: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    # A descriptor that is wrapped is open already.
    if event == "open" and _opened is not None and not isinstance(arguments[0], int):
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)  # for as long as the process lives


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
    made.create()
    made.add(KEY, Trickle(pattern(100)), 100)
    return made


@pytest.fixture
def image() -> Image:
    now = datetime.datetime.now(datetime.UTC)
    place = Location(KEY, "disk", f"file:{KEY}", LocationState.STORED, external=False)
    return Image("i", Status.ACTIVE, now, now, size=100, locations=(place,))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and folders that are opened from now on."""
    names: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "_opened", names)
    return names


@pytest.mark.parametrize("offset", [0, 10])
def test_a_download_opens_each_file_once(
    store: FileStore, image: Image, opened: list[str], offset: int
) -> None:
    catalog = make_catalog(store)
    reading = Reading(catalog, None)
    assert reading.shortcut(image) is None
    opened.clear()
    reader = reading.open(image, offset, None if offset == 0 else 50)
    assert len(opened) == len(set(opened)) <= 4
    assert opened.count(KEY) == 1
    reader.close()


def test_a_download_that_a_proxy_sends_opens_each_file_once(
    store: FileStore, image: Image, opened: list[str]
) -> None:
    catalog = make_catalog(store)
    catalog["disk"].accel = "/protected/"
    opened.clear()
    assert Reading(catalog, None).shortcut(image).path == f"/protected/00/{KEY}"
    assert len(opened) == len(set(opened)) <= 4
