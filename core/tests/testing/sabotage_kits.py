"""Helpers for drivers that are each broken in one way: their test classes, and runs of the kit on them."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from core.tests.testing.test_kit import ISOLATED

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).parent


def kits_of(base, kit, module):
    """Return a test class for each subclass of `base`, by its name; a driver's own `kit` replaces `kit`."""
    return {
        f"Test{driver.__name__}": type(
            f"Test{driver.__name__}",
            (getattr(driver, "kit", kit),),
            {"driver": driver, "__module__": module},
        )
        for driver in base.__subclasses__()
    }


def run_kit(folder, *arguments):
    """Run pytest in a process of its own; returns it, with its output."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *ISOLATED, *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def failures_in(folder, module, caught_by):
    """Return the cases that failed, "DRIVER::CASE" -> message, of one run of all that must fail."""
    report = folder / f"{module}.xml"
    cases = [f"{FOLDER / module}.py::Test{driver}::{case}" for driver, case in caught_by.items()]
    said = run_kit(folder, f"--junit-xml={report}", *cases)
    assert report.exists(), said.stdout + said.stderr
    failures = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failed = case.find("failure") if case.find("failure") is not None else case.find("error")
        if failed is not None:
            driver = case.get("classname").rpartition(".Test")[2]
            failures[f"{driver}::{case.get('name').partition('[')[0]}"] = failed.get("message")
    return failures
