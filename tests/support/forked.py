"""`pserve` and `calotype-manage` in processes that start quickly.

Most of a start is spent on imports: a second of processor time. These processes are forked from one that has
already imported the code (`preloaded`), and then run the commands' functions. If a process needs another
interpreter, or variables that the interpreter reads at its start, the command itself is started instead.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType

#: The variable with the configuration of coverage. A process in whose environment it is measures itself.
TRACE = "COVERAGE_PROCESS_CONFIG"

#: Variables that the interpreter, the loader or the C library reads at its start.
_READ_AT_START = ("PYTHON", "LD_", "GLIBC_", "MALLOC_")
#: Timeout of a command in seconds.
_PATIENCE = 120

#: The context whose processes are forked from one that has made all imports.
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.support.preloaded"])


class Forked:
    """A forked process with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, process: BaseProcess):
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        return self._process.exitcode

    def send_signal(self, how: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit status; raises TimeoutError."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError
        return self._process.exitcode


def may_fork(env: Mapping[str, str]) -> bool:
    """Return True if no variable needs a new interpreter to take effect."""
    return not any(name.startswith(_READ_AT_START) and name != "PYTHONPATH" for name in env)


def start_pserve(arguments: Sequence[str | Path], log: Path, folder: Path, env: Mapping[str, str]) -> Forked:
    """Start `pserve ARGUMENTS` in the folder, with its output appended to the log."""
    argv = ["pserve", *map(str, arguments)]
    return _start(_pserve, argv, env, folder, log, log)


def run_pserve(
    arguments: Sequence[str | Path], env: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run `pserve ARGUMENTS`, which must fail to start, until it ends. `stdout` has all of its output.

    Raises:
        TimeoutError: the process has not ended after two minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        process = start_pserve(arguments, log, Path.cwd(), env)
        return subprocess.CompletedProcess(arguments, _wait(process), log.read_text())


def run_manage(
    arguments: Sequence[str | Path], env: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run `calotype-manage ARGUMENTS` without a terminal until it ends. `env` is added to its environment.

    Raises:
        TimeoutError, subprocess.TimeoutExpired: the process has not ended after two minutes.
    """
    argv = ["calotype-manage", *map(str, arguments)]
    if not may_fork(env):
        program = Path(sys.executable).with_name(argv[0])
        return subprocess.run(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            env={**os.environ, **env},
        )
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        status = _wait(_start(_manage, argv, env, Path.cwd(), out, err))
        return subprocess.CompletedProcess(argv, status, out.read_text(), err.read_text())


def _wait(process: Forked) -> int:
    try:
        return process.wait(_PATIENCE)
    except TimeoutError:
        process.send_signal(signal.SIGKILL)
        raise


def _start(
    command: Callable[[], object],
    argv: list[str],
    env: Mapping[str, str],
    folder: Path,
    out: Path,
    err: Path,
) -> Forked:
    # The process that forks the others must not be traced, even if this one is. Its children start tracing.
    trace = os.environ.pop(TRACE, None)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        if trace is not None:
            os.environ[TRACE] = trace
    environment = {**os.environ, **env}
    process = forks.Process(target=_become, args=(command, argv, environment, folder, out, err))
    process.start()
    return Forked(process)


def _become(
    command: Callable[[], object],
    argv: list[str],
    environment: Mapping[str, str],
    folder: Path,
    out: Path,
    err: Path,
) -> None:
    """Run the command in this process, as if it had been started with these arguments and environment."""
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
    sys.stdout.reconfigure(write_through=True)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    os.chdir(folder)
    sys.argv = argv
    Path("/proc/self/comm").write_text(argv[0][:15])  # its name in a list of processes
    if TRACE in environment:
        import coverage

        coverage.process_startup()
    try:
        sys.exit(command())
    finally:
        atexit._run_exitfuncs()  # multiprocessing does not run them before Python 3.13


def _pserve() -> object:
    from calotype.cli.pserve import main

    return main()


def _manage() -> object:
    from calotype.cli.manage import main

    return main(prog_name="calotype-manage")
