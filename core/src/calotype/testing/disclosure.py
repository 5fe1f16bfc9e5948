"""Cases for the disclosure of paths, option values and secrets, and for I/O where a driver must do none."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from calotype.stores import Reader, StoreError, WritableStore
from calotype.testing.harness import ABSOLUTE, Harness, needs
from calotype.testing.processes import Tell, forked
from calotype.testing.readers import Trickle, pattern

#: The last word in the name of an option whose value is a secret.
SECRET = re.compile(r"(?:^|_)(?:password|passwd|passphrase|secret|token|key|credential)s?\Z", re.IGNORECASE)
#: The audit events that Python raises for I/O: their names, or the beginnings of their names.
IO_EVENTS = ("open", "os.", "socket.", "subprocess.", "sqlite3.", "shutil.", "glob.", "fcntl.", "mmap.")
HARMLESS_EVENTS = ("socket.__new__", "os.putenv", "os.unsetenv")
#: The functions of `os` that do I/O without an audit event.
UNREPORTED = ("stat", "lstat", "access", "statvfs")


class Disclosure(Harness):
    """Locations, errors and options do not disclose what an operator has configured."""

    @needs(WritableStore)
    def test_the_location_holds_no_path_and_no_option(self) -> None:
        location = self.put(pattern(10))

        assert not ABSOLUTE.search(location), "the location contains an absolute path"
        assert self.disclosed(location) == [], "the location contains options, so it changes with them"

    @needs(WritableStore)
    def test_the_location_contains_the_key(self) -> None:
        key = self.key()

        assert key in self.writable.locate(key)

    def test_an_error_names_no_path_and_no_option(self) -> None:
        location, missing = self.put(pattern(10)), self.missing()
        for call in (
            lambda: self.driver.get(missing),
            lambda: self.driver.size(missing),
            lambda: self.driver.get("nonsense"),
            lambda: self.driver.size(f"{location}/../x"),
        ):
            self._assert_refused_discreetly(call)

    @needs(WritableStore)
    def test_an_error_of_writing_names_no_path_and_no_option(self) -> None:
        key = self.key()
        self.add(key, Trickle(pattern(10)))
        missing = self.missing()
        self._assert_refused_discreetly(lambda: self.writable.delete(missing))
        self._assert_refused_discreetly(lambda: self.writable.add(key, Trickle(pattern(10))))
        if self.has("full"):
            with self.full(self.driver) as full:
                assert isinstance(full, WritableStore)
                self._assert_refused_discreetly(lambda: full.add(self.key(), Trickle(pattern(self.span()))))

    def _assert_refused_discreetly(self, call: Callable[[], object]) -> None:
        with pytest.raises(StoreError) as caught:
            call()

        self.assert_discreet(caught.value)

    def test_an_option_that_is_named_like_a_secret_is_one(self) -> None:
        plain = [
            name
            for name, field in type(self.driver).Options.model_fields.items()
            if SECRET.search(name) and name not in self.public_options and _is_text(field.annotation)
        ]

        assert plain == [], "the type must be SecretStr (or name them in public_options)"

    def test_a_new_driver_does_no_io(self) -> None:
        def work(tell: Tell, end: Reader) -> None:
            self.twin()  # all imports of the driver are done by now
            seen: list[str] = []
            _watch(seen)
            self.twin()
            tell(json.dumps(seen))

        with forked(work) as child:
            assert json.loads(child.hear(self.patience)) == []


def _is_text(annotation: Any) -> bool:
    """Return whether a type is str, or a union with str."""
    return annotation is str or (annotation is not SecretStr and str in getattr(annotation, "__args__", ()))


def _watch(seen: list[str]) -> None:
    """Record all I/O of this process from now on. This cannot be undone, so only a child may call it."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(IO_EVENTS) and not event.startswith(HARMLESS_EVENTS):
            seen.append(f"{event}({arguments[0] if arguments else ''!r})")

    def noting(name: str) -> Callable[..., Any]:
        asked = getattr(os, name)

        def note(path: Any, *arguments: Any, **named: Any) -> Any:
            seen.append(f"os.{name}({path!r})")
            return asked(path, *arguments, **named)

        return note

    sys.addaudithook(hear)
    for name in UNREPORTED:
        setattr(os, name, noting(name))
