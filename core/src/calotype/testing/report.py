"""The result of the kit as JSON, and a badge: `pytest --calotype-report FILE`.

FILE gets an entry for each test class of the kit. A second file beside it, with the suffix `.badge.json`, has
the form that shields.io expects of an endpoint.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from calotype.stores import API_VERSION, Store
from calotype.testing.harness import Harness

#: The attribute of a report of pytest that names the case and its driver.
_CASE = "calotype_case"


@dataclass(frozen=True)
class About:
    """A driver, and the distribution that it belongs to (None: unknown)."""

    driver: str | None = None
    distribution: str | None = None
    version: str | None = None
    contract: str | None = None

    @classmethod
    def of(cls, driver: type[Store]) -> About:
        package = driver.__module__.partition(".")[0]
        owners = set(importlib.metadata.packages_distributions().get(package, ()))
        distribution = owners.pop() if len(owners) == 1 else None
        return cls(
            f"{driver.__module__}.{driver.__qualname__}",
            distribution,
            distribution and importlib.metadata.version(distribution),
            _dotted(driver.api_version),
        )


@dataclass
class Result:
    """The result of one test class: its driver, and the cases by their outcome."""

    tests: str
    about: About = About()
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    #: Reason -> the cases that were skipped for it.
    skipped: dict[str, list[str]] = field(default_factory=dict)
    #: Case -> the reason why the driver is known to fail it.
    known_gaps: dict[str, str] = field(default_factory=dict)

    def count(self, report: pytest.TestReport, case: str) -> None:
        """Add the outcome of one phase of a case: its setup, its call, or its end."""
        if report.failed:
            if case not in self.failed:
                self.failed.append(case)
        elif hasattr(report, "wasxfail"):
            self.known_gaps[case] = report.wasxfail
        elif report.skipped:
            self.skipped.setdefault(_reason(report), []).append(case)
        elif report.when == "call":
            self.passed += 1


class KitReport:
    """The plugin that collects the results of one run of pytest, and writes them at its end."""

    def __init__(self, path: Path):
        self._path = path
        self._results: dict[str, Result] = {}
        self._drivers: dict[type[Store], About] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        tests = getattr(item, "instance", None)
        if isinstance(tests, Harness):
            about = self._about(getattr(tests, "driver", None))
            # A worker of pytest-xdist sends the report with its attributes to another process.
            setattr(report, _CASE, {"tests": type(tests).__name__, "name": item.name, "about": asdict(about)})
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        case: dict[str, Any] | None = getattr(report, _CASE, None)
        if case is not None:
            result = self._results.setdefault(case["tests"], Result(case["tests"]))
            if result.about.driver is None:  # the fixture `store` has not returned
                result.about = About(**case["about"])
            result.count(report, case["name"])

    def _about(self, driver: object) -> About:
        if not isinstance(driver, Store):
            return About()
        if type(driver) not in self._drivers:
            self._drivers[type(driver)] = About.of(type(driver))
        return self._drivers[type(driver)]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput"):  # a pytest-xdist worker; the main process writes
            return
        kit = {
            "kit": importlib.metadata.version("calotype-core"),
            "contract": _dotted(API_VERSION),
            "results": [_flat(result) for result in self._results.values()],
        }
        _write(self._path, kit)
        _write(self._path.with_suffix(".badge.json"), self._badge())

    def _badge(self) -> dict[str, Any]:
        results = self._results.values()
        passed, failed = sum(one.passed for one in results), sum(len(one.failed) for one in results)
        gaps = sum(len(one.known_gaps) for one in results)
        parts = {"passed": passed, "failed": failed, "known gaps": gaps}
        message = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
        return {
            "schemaVersion": 1,
            "label": f"calotype driver contract {_dotted(API_VERSION)}",
            "message": message or "no cases",
            "color": "red" if failed or not passed else "yellow" if gaps else "brightgreen",
        }


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _flat(result: Result) -> dict[str, Any]:
    written = asdict(result)
    return {"tests": written.pop("tests"), **written.pop("about"), **written}


def _reason(report: pytest.TestReport) -> str:
    _, _, text = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
    return text.removeprefix("Skipped: ")


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
