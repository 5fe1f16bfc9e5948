"""Benches for upload sessions: over a store with free parts, one with cells, and one without parts."""

import pytest

from core.tests.images.sessions.benches import CELL, Celled, SessionBench, Whole
from tests.support.workbench import Moody, make_bench, make_settings

KINDS = {"free": Moody, "celled": Celled, "whole": Whole}


@pytest.fixture
def make(template):
    """A function that opens a session bench over a store of this kind, with these settings."""
    opened = []

    def open_bench(kind="free", **settings):
        context = make_bench(template, store=KINDS[kind](), settings=make_settings(**settings))
        opened.append(context)
        return SessionBench(context.__enter__())

    yield open_bench
    for context in opened:
        context.__exit__(None, None, None)


@pytest.fixture(params=KINDS)
def bench(make, request):
    """A bench over each kind of store."""
    return make(request.param)


@pytest.fixture(autouse=True)
def _small_cells(monkeypatch):
    """Let cells and pieces be small, so that tests need few bytes."""
    monkeypatch.setattr("calotype.transfers.sessions.cells.CELL", CELL)
    monkeypatch.setattr("calotype.transfers.sessions.receiving.PIECE", 3 * CELL)
    monkeypatch.setattr("calotype.transfers.sessions.receiving.IN_MEMORY", CELL)
