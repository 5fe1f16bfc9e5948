"""The conformance kit for store drivers, for authors of drivers and for this project's own drivers.

    class TestTapeStore(StoreConformance):
        @pytest.fixture
        def store(self, tmp_path):
            return TapeStore("tape", TapeStore.Options(library=tmp_path))

The kit needs pytest and hypothesis, the extra `testing` of calotype-core. The names below are imported at
their first use, so that pytest can load this package's plugin without the rest.
"""

import importlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # type checkers do not see names that `__getattr__` finds
    from calotype.testing.conformance import StoreConformance as StoreConformance
    from calotype.testing.faultproxy import Fault as Fault
    from calotype.testing.faultproxy import FaultProxy as FaultProxy
    from calotype.testing.faultproxy import Proxied as Proxied
    from calotype.testing.harness import needs as needs
    from calotype.testing.memory import MemoryStore as MemoryStore
    from calotype.testing.readers import Endless as Endless
    from calotype.testing.readers import Exploding as Exploding
    from calotype.testing.readers import Flow as Flow
    from calotype.testing.readers import Paused as Paused
    from calotype.testing.readers import Short as Short
    from calotype.testing.readers import Trickle as Trickle
    from calotype.testing.readers import assert_same as assert_same
    from calotype.testing.readers import pattern as pattern
    from calotype.testing.readers import read_all as read_all

#: Public name -> its module.
_HOMES = {
    "StoreConformance": "conformance",
    "needs": "harness",
    "MemoryStore": "memory",
    "Fault": "faultproxy",
    "FaultProxy": "faultproxy",
    "Proxied": "faultproxy",
    "Trickle": "readers",
    "Short": "readers",
    "Exploding": "readers",
    "Endless": "readers",
    "Flow": "readers",
    "Paused": "readers",
    "pattern": "readers",
    "read_all": "readers",
    "assert_same": "readers",
}

__all__ = [*_HOMES]

pytest.register_assert_rewrite(
    *(
        f"calotype.testing.{module}"
        for module in (
            "concurrency",
            "conformance",
            "contents",
            "disclosure",
            "durability",
            "harness",
            "connections",
            "processes",
            "resources",
            "restless",
            "readers",
            "uploads",
            "downloads",
            "removal",
            "honesty",
            "calls",
            "external",
            "in_parts",
            "reading",
            "listing",
            "away",
            "copying",
            "declarations",
        )
    )
)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
