"""Uploads in parts that are finished twice, aborted late, or continued with a wrong token."""

from __future__ import annotations

import pytest

from calotype.stores import BlobNotFound, PartReceipt, Piece
from calotype.testing import Trickle, pattern
from calotype_store_swift import SwiftStore

PART_MIN = 1 << 20
KEY = "8d3a0f6e-1111-4222-8333-444455556666.0123456789ab"
DATA = pattern(PART_MIN + 17)


@pytest.fixture
def finished(store: SwiftStore) -> tuple[SwiftStore, str, list[PartReceipt]]:
    """A store with a blob that was uploaded in two parts, and the upload's token and receipts."""
    token = store.begin(KEY, len(DATA))
    receipts = [
        store.put_part(KEY, token, Piece(1, 0, PART_MIN), Trickle(DATA[:PART_MIN])),
        store.put_part(KEY, token, Piece(2, PART_MIN, 17), Trickle(DATA[PART_MIN:])),
    ]
    assert store.finish(KEY, token, receipts).size == len(DATA)
    return store, token, receipts


def read(store: SwiftStore) -> bytes:
    reader = store.get(store.locate(KEY))
    try:
        return b"".join(iter(lambda: reader.read(1 << 20), b""))
    finally:
        reader.close()


def test_an_upload_that_is_finished_again_returns_the_same_blob(
    finished: tuple[SwiftStore, str, list[PartReceipt]],
) -> None:
    store, token, receipts = finished

    assert store.finish(KEY, token, receipts).size == len(DATA)
    assert read(store) == DATA


def test_the_segments_of_a_finished_upload_do_not_expire(
    finished: tuple[SwiftStore, str, list[PartReceipt]],
) -> None:
    store, _, _ = finished
    names = [entry["name"] for entry in store._account.listing(store._segments(KEY))]
    heads = [store._account.find(store._segments(KEY), name) for name in names]

    assert len(names) == 2
    assert not any("x-delete-at" in (head or {}) for head in heads)


@pytest.mark.parametrize("token", ["", "x", "A" * 16])
def test_a_token_of_another_form_names_no_upload(store: SwiftStore, token: str) -> None:
    with pytest.raises(BlobNotFound):
        store.put_part(KEY, token, Piece(1, 0, 5), Trickle(b"hello"))
    store.abort(KEY, token)


@pytest.mark.parametrize("token", ["", "x", "00000001-0123456789abcdef " + "0" * 32])
def test_a_receipt_of_another_form_is_a_missing_part(store: SwiftStore, token: str) -> None:
    upload = store.begin(KEY)
    store.put_part(KEY, upload, Piece(1, 0, 5), Trickle(b"hello"))
    with pytest.raises(BlobNotFound):
        store.finish(KEY, upload, [PartReceipt(1, 5, token)])
    store.abort(KEY, upload)
