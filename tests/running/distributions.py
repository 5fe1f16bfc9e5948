"""Small distributions made on the spot: what pip would have installed, in a folder for PYTHONPATH."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

#: A driver that takes locations: beside its own blobs it knows the bytes of somebody else, at `memory:lent`.
LENT = b"somebody else's bytes"
LENDING = {
    "lending_driver.py": f"""
from calotype.testing import MemoryStore


class LendingStore(MemoryStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.shelf.foreign["lent"] = {LENT!r}
"""
}


def write_distribution(
    folder: Path, name: str, drivers: Mapping[str, str], modules: Mapping[str, str] | None = None
) -> Path:
    """Write a distribution that offers store drivers, and return the folder.

    `drivers` maps an entry point's name to "module:Class", `modules` a file name to its text.
    """
    information = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{driver} = {target}" for driver, target in drivers.items()]
    (information / "entry_points.txt").write_text("\n".join(["[calotype.stores]", *lines, ""]))
    for file, text in (modules or {}).items():
        (folder / file).write_text(text)
    return folder


def on_path(*folders: Path) -> dict[str, str]:
    """The environment in which these folders' distributions count as installed."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), *([inherited] if inherited else [])])}
