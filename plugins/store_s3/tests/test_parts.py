"""Uploads in parts that are finished twice, aborted late, or continued with a wrong token."""

from __future__ import annotations

import pytest

from calotype.stores import BlobNotFound, PartReceipt, Piece
from calotype.testing import Trickle, pattern
from calotype_store_s3 import S3Store
from calotype_store_s3.options import PART_MIN

KEY = "8d3a0f6e-1111-4222-8333-444455556666.0123456789ab"
DATA = pattern(PART_MIN + 17)


@pytest.fixture
def finished(store: S3Store) -> tuple[S3Store, str, list[PartReceipt]]:
    """A store with a blob that was uploaded in two parts, and the upload's token and receipts."""
    token = store.begin(KEY, len(DATA))
    receipts = [
        store.put_part(KEY, token, Piece(1, 0, PART_MIN), Trickle(DATA[:PART_MIN])),
        store.put_part(KEY, token, Piece(2, PART_MIN, 17), Trickle(DATA[PART_MIN:])),
    ]
    assert store.finish(KEY, token, receipts).size == len(DATA)
    return store, token, receipts


def read(store: S3Store) -> bytes:
    reader = store.get(store.locate(KEY))
    try:
        return b"".join(iter(lambda: reader.read(1 << 20), b""))
    finally:
        reader.close()


def test_an_upload_that_is_finished_again_returns_the_same_blob(
    finished: tuple[S3Store, str, list[PartReceipt]],
) -> None:
    store, token, receipts = finished

    assert store.finish(KEY, token, receipts).size == len(DATA)
    assert read(store) == DATA


@pytest.mark.parametrize("token", ["", "x", "x:", ":"])
def test_a_token_of_another_form_names_no_upload(store: S3Store, token: str) -> None:
    with pytest.raises(BlobNotFound):
        store.put_part(KEY, token, Piece(1, 0, 5), Trickle(b"hello"))
    store.abort(KEY, token)


@pytest.mark.parametrize("token", ["", "x", "[]", '{"ETag": "x"}'])
def test_a_receipt_of_another_form_is_a_missing_part(store: S3Store, token: str) -> None:
    upload = store.begin(KEY)
    store.put_part(KEY, upload, Piece(1, 0, 5), Trickle(b"hello"))
    with pytest.raises(BlobNotFound):
        store.finish(KEY, upload, [PartReceipt(1, 5, token)])
    store.abort(KEY, upload)
