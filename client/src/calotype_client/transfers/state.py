"""What an interrupted transfer needs to go on, in files below the user's cache."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from calotype_client.errors import Conflict, OutOfSpace, SettingsError


class TransferState:
    """The state of one transfer: a JSON document, and a lock against a second process."""

    def __init__(self, cache: Path, *key: str):
        name = hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._path = cache / "transfers" / f"{name}.json"
        self._lock: int | None = None
        self.data: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Lock and read the state.

        Raises:
            Conflict: another process has the lock.
            SettingsError: the cache cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._acquire(self._path.with_suffix(".lock"))
        except BlockingIOError:
            self._release()
            raise Conflict(
                "Another process is at the same transfer.",
                advice="Wait for it, or stop it and run this command again, which goes on where it stopped.",
            ) from None
        except OSError as error:
            raise SettingsError(
                f"{self._path.parent} cannot be written: {error.strerror}.",
                advice="The variable XDG_CACHE_HOME can name another folder.",
            ) from error
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._path.read_text())
            self.data = found if isinstance(found, dict) else {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._path.exists():  # nothing to go on with, so no other process needs the lock
            self._path.with_suffix(".lock").unlink(missing_ok=True)
        self._release()

    def save(self, **data: Any) -> None:
        """Add to the state, and write it in one step; raises OutOfSpace."""
        self.data.update(data)
        temporary = self._path.with_suffix(".new")
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(self.data, file)
            os.replace(temporary, self._path)
        except OSError as error:
            raise OutOfSpace(f"{self._path.parent} cannot be written: {error.strerror}.") from error

    def forget(self) -> None:
        """Remove the state: the transfer is complete, or makes no sense any more."""
        self.data = {}
        for suffix in (".json", ".lock"):
            self._path.with_suffix(suffix).unlink(missing_ok=True)

    def _acquire(self, path: Path) -> None:
        """Lock the file of this name; raise BlockingIOError if another process has locked it."""
        while True:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The owner before may have removed the file, and another process may have made a new one.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(self._lock)):
                    return
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
