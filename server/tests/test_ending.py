"""The end of the process: which threads the log names, and how the process ends if Python cannot end it."""

import signal
import subprocess
import sys
import threading

import pytest

from calotype_server.ending import leaves_threads, running

HANGS = """
import logging, threading, time
from calotype_server.ending import Deadline

class Stuck(logging.Handler):
    def emit(self, record):
        threading.Event().wait()

logging.getLogger().addHandler(Stuck())
Deadline().within(0.2)
time.sleep(60)
"""


def wait_here(begun, event):
    begun.set()
    event.wait()


def test_threads_are_named_with_the_function_that_they_run():
    begun, event, known = threading.Event(), threading.Event(), threading.enumerate()
    thread = threading.Thread(target=wait_here, args=[begun, event], name="mine")
    idle = threading.Thread(target=event.wait, name="in the standard library only")
    thread.start()
    idle.start()
    begun.wait()
    try:
        assert [line for line in running() if line.startswith("mine")] == [f"mine in {__name__}.wait_here"]
        assert running(since=known) == [f"mine in {__name__}.wait_here"]
        assert running(since=threading.enumerate()) == []
    finally:
        event.set()
        thread.join()
        idle.join()


@pytest.mark.campaign
def test_r1_d3_a_log_that_hangs_does_not_keep_the_process_from_ending():
    """r1-D3: the kernel ends a process that cannot even write to its log."""
    assert (
        subprocess.run([sys.executable, "-c", HANGS], timeout=30, check=False).returncode == -signal.SIGALRM
    )


@pytest.mark.parametrize(("seconds", "left"), [(0.1, False), (60, True)])
def test_a_thread_that_ends_within_a_moment_is_not_left_running(seconds, left):
    """An idle thread that was just told to end would otherwise be named in a warning at each reload."""
    begun, event, known = threading.Event(), threading.Event(), threading.enumerate()
    thread = threading.Thread(target=wait_here, args=[begun, event], name="mine")
    timer = threading.Timer(seconds, event.set)
    thread.start()
    timer.start()
    begun.wait()
    try:
        assert leaves_threads(since=[*known, timer]) == left
    finally:
        timer.cancel()
        event.set()
        thread.join()
