"""Calotype: a machine-image service whose stores are plugins."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from calotype.app import Application

__all__ = ["main"]


def main(global_config: dict[str, str], **settings: str) -> Application:
    """Make the WSGI application from an ini file (`use = egg:calotype-core`)."""
    from calotype.app import main as make

    return make(global_config, **settings)
