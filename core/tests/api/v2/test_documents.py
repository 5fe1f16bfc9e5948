"""An image and what was done for it are read one after the other, and are told as of one moment."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from calotype.api.v2.views.documents import image_document
from calotype.images.lifecycle import Lifecycle
from calotype.model.changes import ImageFields
from calotype.model.images import Image
from calotype.testing import MemoryStore, Trickle
from tests.support.workbench import Bench, make_catalog, make_settings

DATA = b"bytes of an image"
RAW = {"disk_format": "raw", "container_format": "bare"}


@pytest.fixture
def lifecycle(bench: Bench) -> Lifecycle:
    """A lifecycle with two stores."""
    stores = make_catalog(*(MemoryStore(name, MemoryStore.Options()) for name in ("memory", "cold")))
    return Lifecycle(bench.database, stores, make_settings())


def told(bench: Bench, image: Image) -> tuple[str, str, str]:
    """Of an image, as it was read some time ago: its status, its stores, and those that are waited for."""
    request = SimpleNamespace(db=bench.database, caller=bench.caller, stores=bench.stores)
    document = image_document(request, image)
    return document["status"], document["stores"], document["os_glance_importing_to_stores"]


def test_an_import_that_ends_while_its_image_is_read_is_seen_whole(
    bench: Bench, lifecycle: Lifecycle
) -> None:
    image = lifecycle.reserve(ImageFields(fields=RAW), bench.caller)
    lifecycle.imports.stage(image, Trickle(DATA), None, len(DATA), bench.caller)
    lifecycle.imports.import_staged(image, ("memory",), bench.caller, "req-1")
    read_before = bench.database.find(image.id)
    assert lifecycle.work()
    assert told(bench, read_before) == ("active", "memory", "")


def test_a_copy_that_ends_while_its_image_is_read_is_seen_whole(bench: Bench, lifecycle: Lifecycle) -> None:
    image = lifecycle.upload(ImageFields(fields=RAW), Trickle(DATA), None, bench.caller)
    lifecycle.copy(image, ("cold",), bench.caller, "req-1")
    read_before = bench.database.find(image.id)
    assert lifecycle.work()
    assert told(bench, read_before) == ("active", "cold,memory", "")
