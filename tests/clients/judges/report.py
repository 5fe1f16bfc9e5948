"""The report of a judge: checks that passed, failed or were skipped. Judges import it in their own Python."""

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version


class Skipped(Exception):
    """The check cannot be made here; the message says why."""


class Report:
    """The checks of one client, by name."""

    def __init__(self, distribution: str) -> None:
        self.client = f"{distribution} {version(distribution)}"
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        """Run what the `with` holds as a check of this name; an exception is a failure."""
        try:
            yield
        except Skipped as why:
            self.skipped[name] = str(why)
        except Exception:
            self.failed[name] = traceback.format_exc(limit=-3)
        else:
            self.passed.append(name)

    def print(self) -> None:
        """Print it as one line of JSON, the last line of the program's output."""
        print(json.dumps(vars(self)))
