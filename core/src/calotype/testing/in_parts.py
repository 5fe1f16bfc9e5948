"""Cases for uploads in parts."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.stores import (
    LOCATION_MAX,
    BlobNotFound,
    Duplicate,
    Listing,
    PartReceipt,
    Parts,
    Piece,
    SourceBroken,
    Store,
    Stored,
    WritableStore,
)
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Exploding, Trickle, assert_same, pattern


class InParts(Harness):
    """`begin`, `put_part`, `finish`, `abort` and `list_parts`."""

    def _parts(self, store: Store | None = None) -> Parts:
        """Return the driver as the interface of uploads in parts."""
        store = store or self.driver
        assert isinstance(store, Parts)
        return store

    def _pieces(self, parts: Parts, count: int = 3) -> list[bytes]:
        """Return the bytes of `count` parts; the last is smaller than the others."""
        size = max(parts.part_min, 1000)
        return [pattern(size, seed=number) for number in range(count - 1)] + [pattern(17, seed=count)]

    def _put(self, parts: Parts, key: str, token: str, number: int, pieces: list[bytes]) -> PartReceipt:
        offset, data = sum(map(len, pieces[: number - 1])), pieces[number - 1]
        return parts.put_part(key, token, Piece(number, offset, len(data)), Trickle(data))

    def _finish(self, parts: Parts, key: str, token: str, receipts: list[PartReceipt]) -> Stored:
        stored = parts.finish(key, token, receipts)
        self._locations.append(stored.location)
        return stored

    @needs(WritableStore, Parts)
    @pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)], ids=str)
    def test_parts_in_any_order_become_the_blob(self, order: tuple[int, ...]) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key, sum(map(len, pieces)))
        receipts = {number: self._put(parts, key, token, number, pieces) for number in order}
        stored = self._finish(parts, key, token, [receipts[number] for number in sorted(receipts)])

        assert stored.location == self.writable.locate(key)
        assert stored.size == sum(map(len, pieces))
        assert_same(self.read(stored.location, stored.size), b"".join(pieces))

    @needs(WritableStore, Parts)
    def test_one_part_is_enough_and_its_size_may_be_unknown_at_the_beginning(self) -> None:
        parts, key = self._parts(), self.key()
        token = parts.begin(key)
        stored = self._finish(parts, key, token, [self._put(parts, key, token, 1, [b"few bytes"])])

        assert_same(self.read(stored.location, 9), b"few bytes")

    @needs(WritableStore, Parts)
    def test_the_token_of_an_upload_is_short_printable_text(self) -> None:
        parts, key = self._parts(), self.key()
        token = parts.begin(key)
        parts.abort(key, token)

        assert len(token) <= LOCATION_MAX
        assert token.isascii()
        assert token.isprintable()

    @needs(WritableStore, Parts)
    def test_a_part_that_is_sent_again_replaces_the_first(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key)
        wrong = pattern(len(pieces[0]), seed=99)
        parts.put_part(key, token, Piece(1, 0, len(wrong)), Trickle(wrong))
        receipts = [self._put(parts, key, token, number, pieces) for number in (1, 2, 3)]
        stored = self._finish(parts, key, token, receipts)

        assert_same(self.read(stored.location, sum(map(len, pieces))), b"".join(pieces))

    @needs(WritableStore, Parts)
    def test_a_receipt_never_stands_for_the_bytes_that_replaced_its_part(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key, sum(map(len, pieces)))
        receipts = [self._put(parts, key, token, number, pieces) for number in (1, 2, 3)]
        wrong = pattern(len(pieces[0]), seed=99)
        parts.put_part(key, token, Piece(1, 0, len(wrong)), Trickle(wrong))
        try:
            stored = self._finish(parts, key, token, receipts)
        except BlobNotFound:
            parts.abort(key, token)
        else:
            assert_same(self.read(stored.location, sum(map(len, pieces))), b"".join(pieces))

    @needs(WritableStore, Parts)
    def test_a_part_whose_source_fails_can_be_sent_again(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token, first = parts.begin(key), Piece(1, 0, len(pieces[0]))
        with pytest.raises(SourceBroken):
            parts.put_part(key, token, first, Exploding(pieces[0][:500], SourceBroken("gone")))
        receipts = [self._put(parts, key, token, number, pieces) for number in (1, 2, 3)]
        stored = self._finish(parts, key, token, receipts)

        assert_same(self.read(stored.location, sum(map(len, pieces))), b"".join(pieces))

    @needs(WritableStore, Parts)
    def test_the_parts_may_go_to_several_processes(self) -> None:
        key, twin = self.key(), self.twin()
        here, there = self._parts(), self._parts(twin)
        pieces = self._pieces(here)
        token = here.begin(key)
        for number in (2, 1):
            self._put(there, key, token, number, pieces)
        self._put(here, key, token, 3, pieces)
        stored = self._finish(there, key, token, list(here.list_parts(key, token)))

        assert_same(self.read(stored.location, sum(map(len, pieces))), b"".join(pieces))

    @needs(WritableStore, Parts)
    def test_parallel_parts_do_not_mix(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts, count=6)
        token = parts.begin(key)
        with ThreadPoolExecutor(6) as threads:
            receipts = list(threads.map(lambda n: self._put(parts, key, token, n, pieces), range(1, 7)))
        stored = self._finish(parts, key, token, receipts)

        assert_same(self.read(stored.location, sum(map(len, pieces))), b"".join(pieces))

    @needs(WritableStore, Parts)
    def test_the_stored_parts_are_listed_with_their_receipts(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key)
        receipts = [self._put(parts, key, token, number, pieces) for number in (3, 1)]

        assert list(parts.list_parts(key, token)) == sorted(receipts, key=lambda part: part.number)
        parts.abort(key, token)

    @needs(WritableStore, Parts)
    def test_an_upload_that_lacks_a_part_cannot_be_finished(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key)
        receipts = [self._put(parts, key, token, 1, pieces), PartReceipt(2, len(pieces[1]), "0" * 32)]
        with pytest.raises(BlobNotFound):
            parts.finish(key, token, receipts)
        parts.abort(key, token)

        self.assert_nothing_under(key)

    @needs(WritableStore, Parts)
    def test_the_blob_is_not_seen_before_the_upload_is_finished(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key)
        receipts = [self._put(parts, key, token, number, pieces) for number in (1, 2, 3)]
        with pytest.raises(BlobNotFound):
            self.driver.get(self.writable.locate(key)).close()
        if isinstance(self.driver, Listing):
            assert self.writable.locate(key) not in self.listed()
        self._finish(parts, key, token, receipts)

    @needs(WritableStore, Parts)
    def test_an_aborted_upload_leaves_nothing_and_can_be_aborted_again(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key)
        self._put(parts, key, token, 1, pieces)
        parts.abort(key, token)
        parts.abort(key, token)
        with pytest.raises(BlobNotFound):
            self._put(parts, key, token, 2, pieces)

        self.assert_nothing_under(key)

    @needs(WritableStore, Parts)
    def test_a_finished_upload_leaves_nothing_but_its_blob(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key)
        self._finish(
            parts, key, token, [self._put(parts, key, token, number, pieces) for number in (1, 2, 3)]
        )

        assert self.left_behind() == []

    @needs(WritableStore, Parts)
    def test_requests_that_come_after_the_end_do_not_change_the_blob(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key, sum(map(len, pieces)))
        receipts = [self._put(parts, key, token, number, pieces) for number in (1, 2, 3)]
        stored = self._finish(parts, key, token, receipts)
        with contextlib.suppress(BlobNotFound):
            parts.put_part(key, token, Piece(1, 0, len(pieces[0])), Trickle(pattern(len(pieces[0]), seed=99)))
        with contextlib.suppress(BlobNotFound, Duplicate):
            parts.finish(key, token, receipts)
        parts.abort(key, token)

        assert_same(self.read(stored.location, sum(map(len, pieces))), b"".join(pieces))

    @needs(WritableStore, Parts)
    def test_an_upload_in_parts_does_not_replace_a_blob(self) -> None:
        parts, key = self._parts(), self.key()
        first = self.add(key, Trickle(pattern(5000)))

        def replace() -> None:
            token = parts.begin(key)
            parts.finish(key, token, [self._put(parts, key, token, 1, [b"other"])])

        with pytest.raises(Duplicate):
            replace()
        assert_same(self.read(first.location, 5000), pattern(5000))

    @needs(WritableStore, Parts)
    def test_discard_removes_an_upload_in_parts(self) -> None:
        parts, key = self._parts(), self.key()
        pieces = self._pieces(parts)
        token = parts.begin(key)
        self._put(parts, key, token, 1, pieces)
        self.writable.discard(key)

        self.assert_nothing_under(key)

    @needs(WritableStore, Parts, Listing)
    def test_an_unfinished_upload_in_parts_is_listed_as_an_attempt(self) -> None:
        parts, key = self._parts(), self.key()
        token = parts.begin(key)
        self._put(parts, key, token, 1, self._pieces(parts))

        assert key in [attempt.location for attempt in self.listing.attempts()]
        parts.abort(key, token)
