"""The remotes that `calotype login` keeps: a file like clouds.yaml, which only its owner can read."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

from calotype_client.errors import SettingsError
from calotype_client.profiles.clouds import read_clouds
from calotype_client.profiles.folders import config_folder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Remotes:
    """The remotes of one user by name. The newest login is the default."""

    def __init__(self, environ: Mapping[str, str]):
        self.path = config_folder(environ) / "calotype" / "remotes.yaml"

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the remotes by name, in the order of their logins; raises SettingsError."""
        return read_clouds(self.path) if self.path.is_file() else {}

    @property
    def default(self) -> str | None:
        """Return the name of the last login, or None without one."""
        return next(reversed(self.read()), None)

    def add(self, name: str, cloud: dict[str, Any]) -> None:
        """Add or replace a remote, which becomes the default; raises SettingsError."""
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{name!r} cannot be the name of a remote.",
                advice="A name has letters, digits, `-`, `_` and `.`, and begins with a letter or a digit.",
            )
        remotes = self.read()
        remotes.pop(name, None)
        self._write({**remotes, name: cloud})

    def remove(self, name: str) -> None:
        """Remove a remote; raises SettingsError if there is none of this name."""
        remotes = self.read()
        if name not in remotes:
            raise SettingsError(f"There is no remote {name!r}.", advice=_known(remotes))
        del remotes[name]
        self._write(remotes)

    def _write(self, remotes: dict[str, dict[str, Any]]) -> None:
        import yaml

        text = yaml.safe_dump({"clouds": remotes}, sort_keys=False, allow_unicode=True)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The file is made with the mode 0600, and replaces the old one in one step.
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".remotes-")
            with os.fdopen(handle, "w") as file:
                file.write(text)
            os.replace(temporary, self.path)
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be written: {error.strerror}.") from error


def _known(remotes: Mapping[str, object]) -> str:
    return f"Known remotes: {', '.join(remotes)}." if remotes else "`calotype login URL` adds one."
