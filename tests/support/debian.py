"""Real files from Debian packages: kernels, ramdisks, boot loaders."""

from __future__ import annotations

import subprocess
from pathlib import Path


def unpack(package: str, folder: Path) -> Path:
    """Download a Debian package without installing it, and return the folder with its files."""
    folder.mkdir(parents=True)
    # apt's own user for downloads cannot write to a test's folder.
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    subprocess.run([*apt, "download", package], cwd=folder, check=True)
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, folder / "files"], check=True)
    archive.unlink()
    return folder / "files"
