"""The checks at the start, if the server forks the processes that serve.

Checks leave threads and connections behind, and a call of a store may hang for minutes. A process with any of
these must not fork. Therefore the checks run in a process of their own, which ends before the others begin.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

#: The variable by which `pserve` tells the application that the server forks, and its values: the start has
#: not been checked yet, or it has, as before a reload.
FORKS = "__forks__"
UNCHECKED, CHECKED = "unchecked", "checked"


def run_apart(check: Callable[[], object]) -> None:
    """Run a check in a forked process. If it raises, end this process with the same message and status."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _run_and_end(check)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise SystemExit(status if status > 0 else f"calotype: the checks were killed by signal {-status}")


def _run_and_end(check: Callable[[], object]) -> NoReturn:
    """Run the check in this process, and end it without waiting for threads that hang."""
    status = 1
    try:
        check()
        status = 0
    except SystemExit as error:
        print(error.code, file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        status = 130
    except BaseException:  # noqa: BLE001 - no exception may leave this process
        traceback.print_exc()
    finally:
        logging.shutdown()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)
