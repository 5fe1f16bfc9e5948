"""The meta distribution `calotype`: core and the four drivers, installed together.

In a checkout the parts are taken from their folders; from a published sdist they
are taken from the package index, at this same version.
"""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
PARTS = {
    "calotype-core": "core",
    "calotype-store-file": "plugins/store_file",
    "calotype-store-s3": "plugins/store_s3",
    "calotype-store-swift": "plugins/store_swift",
    "calotype-store-http": "plugins/store_http",
}


def requirement(name: str, folder: str) -> str:
    path = HERE / folder
    return f"{name} @ {path.as_uri()}" if path.is_dir() else f"{name}>=0.1,<0.2"


setup(install_requires=[requirement(name, folder) for name, folder in PARTS.items()])
