"""Find the profile that a command or a program means."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from calotype_client.errors import SettingsError
from calotype_client.profiles.clouds import cloud_files, profile_of, read_clouds
from calotype_client.profiles.profile import Profile
from calotype_client.profiles.remotes import Remotes
from calotype_client.profiles.variables import profile_from


def find_profile(environ: Mapping[str, str], name: str | None = None) -> Profile:
    """Return the profile with this name, or the default one.

    A name is that of a remote of `calotype login`, or of a cloud in clouds.yaml; a remote comes first.
    Without a name, the first of these counts: the variable `CALOTYPE_URL`; `OS_CLOUD`; the other `OS_*`
    variables; the last login; the only cloud in clouds.yaml.

    Raises:
        SettingsError: there is no such profile, or none at all, or it is incomplete.
    """
    if name is None and not environ.get("CALOTYPE_URL"):
        name = environ.get("OS_CLOUD") or None
    if name is not None:
        return named_profile(environ, name)
    if profile := profile_from(environ):
        return profile
    if default := Remotes(environ).default:
        return named_profile(environ, default)
    clouds = _clouds(environ)
    if len(clouds) == 1:
        return profile_of(*next(iter(clouds.items())))
    raise SettingsError(
        "No server is set.",
        advice="Run `calotype login URL`, or choose a cloud of clouds.yaml with --os-cloud"
        + (f" ({', '.join(clouds)})." if clouds else "."),
    )


def named_profile(environ: Mapping[str, str], name: str) -> Profile:
    """Return the remote or the cloud with this name; raises SettingsError."""
    known = {**_clouds(environ), **Remotes(environ).read()}
    if name in known:
        return profile_of(name, known[name])
    similar = difflib.get_close_matches(name, known, n=1)
    raise SettingsError(
        f"There is no remote and no cloud {name!r}." + (f" Did you mean {similar[0]}?" if similar else ""),
        advice=f"Known: {', '.join(sorted(known))}." if known else "`calotype login URL` adds a remote.",
    )


def profile_names(environ: Mapping[str, str]) -> list[str]:
    """Return the names of all remotes and clouds, sorted."""
    return sorted({*_clouds(environ), *Remotes(environ).read()})


def _clouds(environ: Mapping[str, str]) -> dict[str, dict[str, object]]:
    for path in cloud_files(environ, Path.cwd()):
        if path.is_file():
            return read_clouds(path)
    return {}
