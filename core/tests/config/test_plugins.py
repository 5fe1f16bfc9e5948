"""Plugins: the installed distributions are read once for a start, and again for the next one."""

from __future__ import annotations

import contextlib
import importlib.metadata
from pathlib import Path

import pytest

from calotype.app import open_service
from calotype.config.section import read_settings
from calotype.config.settings import Settings
from core.tests.stores.conftest import install

__all__ = ["install"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    url = f"sqlite:///{tmp_path}/calotype.sqlite"
    return read_settings({}, {"sqlalchemy.url": url, "store.tape.driver": "tape"})


def stores_of(settings: Settings) -> list[str]:
    with contextlib.closing(open_service(settings, makes_database=True)) as service:
        return list(service.stores.entries)


def test_a_start_reads_the_installed_distributions_once(install, settings, monkeypatch):
    """Each reading takes 5 ms or more, and a start used to read them about 20 times."""
    install("tape")
    stores_of(settings)  # other libraries read them at their first use
    find, reads = importlib.metadata.distributions, []
    monkeypatch.setattr(importlib.metadata, "distributions", lambda **kw: reads.append(kw) or find(**kw))

    assert "tape" in stores_of(settings)
    assert len(reads) == 1


def test_a_start_sees_a_driver_that_was_installed_after_an_earlier_start_in_the_same_process(
    install, settings
):
    assert "tape" not in stores_of(settings)
    install("tape")

    assert "tape" in stores_of(settings)
