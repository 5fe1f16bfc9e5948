"""`pytest --calotype-report FILE` writes the kit's result as JSON, and a badge."""

import importlib.metadata
import json

import pytest

from core.tests.testing.test_kit import ISOLATED

pytest_plugins = ["pytester"]

KIT = """
    import pytest
    from calotype.testing import MemoryStore, StoreConformance

    class TestMemory(StoreConformance):
        known_gaps = {"test_a_large_blob_is_never_whole_in_memory": "memory is where it keeps its bytes"}

        @pytest.fixture
        def store(self):
            return MemoryStore("memory", MemoryStore.Options())

        def DISABLED(self, store):
            raise AssertionError

    def test_of_another_kind():
        assert False
"""
CASES = "never_whole or receipt or proxy_names or closed_twice or another_kind"


@pytest.fixture
def report(pytester):
    """report(**replaced) runs a kit with a report; returns the report and the badge."""

    def run(kit=KIT, *options):
        pytester.makepyfile(kit)
        pytester.runpytest_inprocess(*ISOLATED, "--calotype-report", "kit.json", "-k", CASES, *options)
        names = ("kit.json", "kit.badge.json")
        return [json.loads((pytester.path / name).read_text()) for name in names]

    return run


def test_the_report_names_the_driver_and_the_outcome_of_each_case(report):
    written, _ = report()
    (result,) = written["results"]

    assert written["contract"] == "2.0"
    assert written["kit"] == importlib.metadata.version("calotype-core")
    assert result["tests"] == "TestMemory"
    assert result["driver"] == "calotype.testing.memory.MemoryStore"
    assert result["distribution"] == "calotype-core"
    assert result["version"] == importlib.metadata.version("calotype-core")
    assert result["contract"] == "2.0"
    assert result["passed"] > 5
    assert result["failed"] == []
    assert result["known_gaps"] == {
        "test_a_large_blob_is_never_whole_in_memory": "memory is where it keeps its bytes"
    }
    assert result["skipped"]["MemoryStore is no LocalFiles"] == ["test_the_path_for_a_proxy_names_the_file"]


def test_the_badge_counts_the_cases_and_the_known_gaps(report):
    written, badge = report()

    assert badge == {
        "schemaVersion": 1,
        "label": "calotype driver contract 2.0",
        "message": f"{written['results'][0]['passed']} passed, 1 known gaps",
        "color": "yellow",
    }


@pytest.mark.parametrize("hook", ["leftovers", "put"], ids=["at-the-start", "in-the-case"])
def test_a_case_that_fails_is_named_once(report, hook):
    written, badge = report(KIT.replace("DISABLED(self, store)", f"{hook}(self, store)"))

    assert "test_a_reader_is_closed_twice" in written["results"][0]["failed"]
    assert len(set(written["results"][0]["failed"])) == len(written["results"][0]["failed"])
    assert badge["color"] == "red"


def test_a_driver_that_cannot_be_made_has_failed_all_cases(report):
    written, badge = report(KIT.replace("return MemoryStore", "return [0][1] or MemoryStore"))

    assert written["results"][0]["driver"] is None
    assert "test_a_reader_is_closed_twice" in written["results"][0]["failed"]
    assert written["results"][0]["passed"] == 0
    assert badge["color"] == "red"


def test_workers_write_one_report_together(report):
    written, _ = report(KIT, "-n", "2")

    assert written["results"][0]["passed"] > 5


def test_without_the_option_nothing_is_written(pytester):
    pytester.makepyfile(KIT)
    pytester.runpytest_inprocess(*ISOLATED, "-k", "closed_twice")

    assert list(pytester.path.glob("*.json")) == []
