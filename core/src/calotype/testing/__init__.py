"""The conformance kit for store drivers, for authors of drivers and for this project's own drivers.

    class TestTapeStore(StoreConformance):
        @pytest.fixture
        def store(self, tmp_path):
            return TapeStore("tape", TapeStore.Options(library=tmp_path))

The kit needs pytest and hypothesis, the extra `testing` of calotype-core. The names below are imported at
their first use, so that pytest can load this package's plugin without the rest.
"""

import importlib

import pytest

#: Public name -> its module.
_HOMES = {
    "StoreConformance": "conformance",
    "needs": "harness",
    "MemoryStore": "memory",
    "Fault": "faultproxy",
    "FaultProxy": "faultproxy",
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
            "conformance",
            "harness",
            "readers",
            "uploads",
            "downloads",
            "removal",
            "honesty",
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
