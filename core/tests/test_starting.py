"""Checks at the start in a process of their own."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from calotype.starting import run_apart


def raising(error: BaseException):
    def check() -> None:
        raise error

    return check


def test_a_check_that_passes_leaves_nothing_behind():
    threads = threading.active_count()

    def check() -> None:
        threading.Thread(target=threading.Event().wait).start()  # Python would wait for it at its end

    run_apart(check)
    assert threading.active_count() <= threads  # threads of other tests may end meanwhile


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (SystemExit("calotype: no"), 1, "calotype: no\n"),
        (KeyboardInterrupt(), 130, ""),
        (ValueError("bug"), 1, "ValueError: bug\n"),
    ],
)
def test_a_check_that_fails_ends_the_start_with_its_message_and_status(error, status, said, capfd):
    with pytest.raises(SystemExit) as caught:
        run_apart(raising(error))
    assert caught.value.code == status
    assert capfd.readouterr().err.endswith(said)


def test_a_check_that_is_killed_ends_the_start_with_a_sentence():
    with pytest.raises(SystemExit, match="calotype: the checks were killed by signal 9"):
        run_apart(lambda: os.kill(os.getpid(), signal.SIGKILL))
