"""Throw-away plugins: distributions that are installed for one test."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

DRIVER = """
import io
from calotype.stores import External, Listing, Store, StoreOptions, WritableStore
from calotype.testing.memory import MemoryStore

class Driver(MemoryStore):
    pass
"""
_NUMBERS = itertools.count()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Install a distribution with one plugin: `install("tape", source)` returns its distribution's name.

    `target` is the attribute of its module that the entry point names; "": the module itself.
    """

    def put(
        name: str,
        source: str = DRIVER,
        *,
        target: str = "Driver",
        distribution: str | None = None,
        group: str = "calotype.stores",
    ) -> str:
        number = next(_NUMBERS)
        distribution = distribution or f"calotype-store-{name.lower().replace(' ', '-')}"
        module, site = f"throwaway_{number}", tmp_path / f"site-{number}"
        info = site / f"{distribution.replace('-', '_')}-2.{number}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.{number}\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}{target and ':'}{target}\n")
        (site / f"{module}.py").write_text(dedent(source))
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)
        return distribution

    return put
