"""The user's folders, by the rules of the XDG base directories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def config_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder with the user's settings of all programs."""
    return Path(environ.get("XDG_CONFIG_HOME") or home_folder(environ) / ".config")


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder with what this program keeps and can do without."""
    return Path(environ.get("XDG_CACHE_HOME") or home_folder(environ) / ".cache") / "calotype"


def home_folder(environ: Mapping[str, str]) -> Path:
    """Return the user's home."""
    return Path(environ.get("HOME") or Path.home())
