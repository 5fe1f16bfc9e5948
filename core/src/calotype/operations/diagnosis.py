"""Diagnoses: the results of checks, which run at the same time and with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from calotype.config.interpolation import SettingsError
from calotype.database.errors import DatabaseError
from calotype.identity.token_file import TokensUnreadable
from calotype.stores.errors import StoreError, for_operators


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of a check. If `is_healthy` is false, the sentence says what is wrong, and the cure."""

    subject: str
    is_healthy: bool
    sentence: str


#: A check yields a diagnosis for each thing that it examines. If all is well, one is enough.
Check = Callable[[], Iterable[Diagnosis]]


def examine(checks: Mapping[str, Check], seconds: float) -> Iterator[Diagnosis]:
    """Run checks by their subjects, and yield the diagnoses in the order of the checks.

    All checks together get this many seconds. Each has a daemon thread, because a check may hang, and a
    process does not wait for such threads when it ends.
    """
    end = time.monotonic() + seconds
    inboxes = {subject: _start(subject, check) for subject, check in checks.items()}
    for subject, inbox in inboxes.items():
        try:
            yield from inbox.get(timeout=max(0, end - time.monotonic()))
        except queue.Empty:
            sentence = f"it has not answered within {seconds:g} s: look for what hangs, and try again"
            yield Diagnosis(subject, False, sentence)


def _start(subject: str, check: Check) -> queue.SimpleQueue[list[Diagnosis]]:
    inbox: queue.SimpleQueue[list[Diagnosis]] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: inbox.put(_run(subject, check)), name=subject, daemon=True)
    thread.start()
    return inbox


def _run(subject: str, check: Check) -> list[Diagnosis]:
    found = []
    try:
        for diagnosis in check():
            found.append(diagnosis)
    except StoreError as error:
        found.append(Diagnosis(subject, False, for_operators(error)))
    except (SettingsError, DatabaseError, TokensUnreadable) as error:
        found.append(Diagnosis(subject, False, str(error)))
    except Exception as error:  # noqa: BLE001 - the other checks are still worth their answers
        found.append(Diagnosis(subject, False, f"the check has failed: {type(error).__name__}: {error}"))
    return found
