"""Quotas: concurrent uploads never exceed them, and the count equals the rows (R-33, C-10)."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from calotype.database.errors import ImageNotFound, LimitReached, StatusConflict
from calotype.model.change import Change
from calotype.model.errors import NotQueued
from calotype.model.fields import ImageFields
from calotype.model.images import Image, Visibility
from calotype.model.policy import Caller
from calotype.stores.errors import SourceError, StoreError
from calotype.transfers.readers import Announced
from tests.security.conftest import StartGuarded
from tests.support.workbench import Bench, make_bench, make_database, make_settings

MIB = 1 << 20


def test_c_10_fifty_uploads_of_unknown_length_never_exceed_a_projects_quota(
    start_guarded: StartGuarded,
) -> None:
    most, size = 10 * MIB, MIB - 7
    guarded = start_guarded({"calotype.project_bytes": str(most)}, level="WARNING")
    answers: Counter[int] = Counter()
    lock, done = threading.Lock(), threading.Event()
    seen = [0]

    def chunks() -> Iterator[bytes]:
        for at in range(0, size, 65536):
            yield bytes(min(65536, size - at))

    def upload() -> None:
        status = guarded.attacker.try_upload(chunks()).status
        with lock:
            answers[status] += 1

    def watch() -> None:
        while not done.wait(0.02):
            rows = guarded.server.query("SELECT bytes FROM project_usage WHERE project = 'A'")
            seen[0] = max([seen[0], *(row[0] for row in rows)])

    watcher = threading.Thread(target=watch)
    threads = [threading.Thread(target=upload) for _ in range(50)]
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    stored = sum(path.stat().st_size for path in guarded.server.blobs())
    ((counted,),) = guarded.server.query("SELECT bytes FROM project_usage WHERE project = 'A'")
    assert set(answers) <= {201, 413, 503}
    assert answers[201] * size == stored == counted <= most
    assert seen[0] <= most
    assert answers[201] >= 1
    assert guarded.server.leftovers() == []


def test_c_10_an_upload_of_unknown_length_ends_at_the_quota_and_not_at_its_own_end(
    start_guarded: StartGuarded,
) -> None:
    """The client sends more than all buffers hold, and counts the blocks that it could send."""
    guarded = start_guarded({"calotype.project_bytes": str(MIB)}, level="WARNING")
    sent: list[int] = []

    def blocks() -> Iterator[bytes]:
        for number in range(256):
            sent.append(number)
            yield bytes(MIB)

    assert guarded.attacker.try_upload(blocks()).status == 413
    assert len(sent) < 64
    assert guarded.server.blobs() == guarded.server.leftovers() == []


class Accounts(RuleBasedStateMachine):
    """Verbs on two projects' images in random order. The count always equals the sum over the rows."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self._context = make_bench(self.template, settings=make_settings(project_bytes=50, project_images=4))
        self.bench: Bench = self._context.__enter__()
        self.images: list[Image] = []

    def teardown(self) -> None:
        self._context.__exit__(None, None, None)

    def caller(self, project: str) -> Caller:
        return Caller("u", project, frozenset({"admin"}))

    @rule(project=st.sampled_from("AB"), size=st.integers(0, 60) | st.none())
    def reserve(self, project: str, size: int | None) -> None:
        with contextlib.suppress(LimitReached):
            self.images.append(
                self.bench.lifecycle.reserve(Change(self.caller(project), ImageFields(size=size)))
            )

    @rule(
        project=st.sampled_from("AB"),
        size=st.integers(0, 60),
        told=st.booleans(),
        fault=st.sampled_from(["", "", "short", "store"]),
        data=st.data(),
    )
    def upload(self, project: str, size: int, told: bool, fault: str, data: st.DataObject) -> None:
        image = data.draw(st.sampled_from([None, *self.images]))
        if fault == "store":
            self.bench.store.failing["add"] = OSError("gone")
        length = size + (fault == "short") if told else None
        draft = ImageFields(size=size + 1 if fault == "short" else None)
        try:
            caller = self.caller(project)
            made = self.bench.lifecycle.upload(
                Change(caller, draft, image), Announced(io.BytesIO(bytes(size)), length)
            )
            self.images.append(made)
        except (LimitReached, SourceError, StoreError, NotQueued, ImageNotFound):
            pass
        self.bench.store.failing.pop("add", None)

    @precondition(lambda self: self.images)
    @rule(data=st.data(), owner=st.sampled_from("AB"))
    def give_away(self, data: st.DataObject, owner: str) -> None:
        image = data.draw(st.sampled_from(self.images))
        try:
            draft = ImageFields(fields={"owner": owner, "visibility": Visibility.SHARED})
            self.bench.lifecycle.update(Change(self.caller("A"), draft, image))
        except (LimitReached, ImageNotFound, StatusConflict):
            pass

    @precondition(lambda self: self.images)
    @rule(data=st.data(), fails=st.booleans())
    def delete(self, data: st.DataObject, fails: bool) -> None:
        image = data.draw(st.sampled_from(self.images))
        if fails:
            self.bench.store.failing["delete"] = OSError("gone")
        with contextlib.suppress(ImageNotFound):
            self.bench.lifecycle.delete(image, self.bench.caller)
        self.bench.store.failing.pop("delete", None)

    @rule()
    def sweep(self) -> None:
        self.bench.lifecycle.sweep()

    @invariant()
    def what_counts_is_what_is_there(self) -> None:
        with self.bench.raw() as raw:
            usage = {
                row[0]: row[1:] for row in raw.execute("SELECT project, bytes, images FROM project_usage")
            }
            there = {
                row[0]: row[1:]
                for row in raw.execute(
                    "SELECT i.owner, coalesce(sum((SELECT sum(l.counted) FROM image_locations l "
                    "WHERE l.image_id = i.id)), 0), count(CASE WHEN i.status <> 'deleted' THEN 1 END) "
                    "FROM images i GROUP BY i.owner"
                )
            }
            sizes = raw.execute(
                "SELECT coalesce(i.size, 0), (SELECT sum(l.counted) FROM image_locations l "
                "WHERE l.image_id = i.id) FROM images i WHERE i.status = 'active'"
            ).fetchall()
        raw.close()
        for project in "AB":
            assert tuple(usage.get(project, (0, 0))) == tuple(there.get(project, (0, 0)))
            assert usage.get(project, (0, 0))[0] <= 50
            assert usage.get(project, (0, 0))[1] <= 4
        assert [pair for pair in sizes if pair[0] != pair[1]] == []


@pytest.fixture(scope="module", autouse=True)
def _template(tmp_path_factory: pytest.TempPathFactory) -> None:
    Accounts.template = make_database(tmp_path_factory.mktemp("quota") / "registry.sqlite")


class TestR33UsageIsTheSumOverRows(Accounts.TestCase):
    """Random sequences of the verbs."""

    settings = settings(
        max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
