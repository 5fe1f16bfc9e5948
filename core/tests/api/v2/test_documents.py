"""An image and its last job are read one after the other, and are shown as of one moment."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from calotype.api.v2.views.documents import image_document
from calotype.images.imports import ImportRequest, Origin
from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import Image
from calotype.testing import MemoryStore, Trickle
from calotype.transfers.readers import Announced
from tests.support.workbench import Bench, make_catalog, make_settings

DATA = b"bytes of an image"
RAW = {"disk_format": "raw", "container_format": "bare"}


@pytest.fixture
def lifecycle(bench: Bench) -> Lifecycle:
    """Return a lifecycle with two stores."""
    stores = make_catalog(*(MemoryStore(name, MemoryStore.Options()) for name in ("memory", "cold")))
    return Lifecycle(bench.database, stores, make_settings())


def told(bench: Bench, image: Image) -> tuple[str, str, str]:
    """Return status, stores and pending stores in the document of an image that was read earlier."""
    request = SimpleNamespace(db=bench.database, caller=bench.caller, stores=bench.stores)
    document = image_document(request, image)
    return document["status"], document["stores"], document["os_glance_importing_to_stores"]


def test_an_import_that_ends_while_the_image_is_read_is_shown_completely(
    bench: Bench, lifecycle: Lifecycle
) -> None:
    image = lifecycle.reserve(Change(bench.caller, ImageFields(fields=RAW)))
    lifecycle.imports.stage(Change(bench.caller, ImageFields(), image), Announced(Trickle(DATA), len(DATA)))
    lifecycle.imports.submit(
        Change(bench.caller, ImageFields(), image), ImportRequest(Origin.STAGED, ("memory",))
    )
    read_before = bench.database.find(image.id)
    assert lifecycle.work()
    assert told(bench, read_before) == ("active", "memory", "")


def test_a_copy_that_ends_while_the_image_is_read_is_shown_completely(
    bench: Bench, lifecycle: Lifecycle
) -> None:
    image = lifecycle.upload(Change(bench.caller, ImageFields(fields=RAW)), Announced(Trickle(DATA)))
    lifecycle.imports.submit(
        Change(bench.caller, ImageFields(), image), ImportRequest(Origin.COPY, ("cold",))
    )
    read_before = bench.database.find(image.id)
    assert lifecycle.work()
    assert told(bench, read_before) == ("active", "cold,memory", "")
