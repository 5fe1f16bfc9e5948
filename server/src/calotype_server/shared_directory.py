"""The directory in which the processes of one service share files, such as counters for Prometheus."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile

log = logging.getLogger(__name__)

#: The variable by which prometheus_client, and with it the application, finds the directory.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class SharedDirectory:
    """A private temporary directory. The supervisor makes it, and removes it when all have ended."""

    def __init__(self, inherited: str | None):
        """Make one, unless this program has inherited it or the operator has set the variable."""
        self.path = inherited
        if inherited is None and not os.environ.get(_VARIABLE):
            self.path = _make()
        if self.path is not None:
            try:
                # systemd-tmpfiles does not clean up directories that are locked.
                fcntl.flock(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)
            except OSError as error:
                log.warning("cannot lock the directory of shared files: %s", error)

    def name_to_application(self) -> None:
        """Set the variable in this process, which serves."""
        if self.path is not None:
            os.environ[_VARIABLE] = self.path

    def remove(self) -> None:
        """Remove the directory, if the supervisor made it."""
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)


def _make() -> str | None:
    try:
        return tempfile.mkdtemp(prefix="calotype-")
    except OSError as error:
        log.warning("the processes cannot share files, so each counts alone: %s", error)
        return None
