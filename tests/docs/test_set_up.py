"""docs/operations.md's "Set it up", typed by root as it is written, on a machine that has nothing of ours.

The machine is this one, seen from a namespace of mounts in which /etc, /opt and /var/lib can be written to
without a trace, and from a namespace of networks in which port 9292 is free.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.environment import BASE, DRIVERS, META
from tests.support.pages import DOCS, ROOT, block_called
from tests.third_party.conftest import REST

PAGE = DOCS / "operations.md"
CAPTIONS = (
    "make the user and the directories",
    "install the wheels",
    "write the configuration",
    "make the database, the store and a token",
    "start the service",
    "try it",
)
#: In place of the URL of a database server, which the test does not have.
URL = "postgresql+psycopg://calotype:PASSWORD@db.example.com/calotype"
SQLITE = "sqlite:////var/lib/calotype/calotype.sqlite"

#: Files written to these folders stay in memory. If only root may enter a folder above the interpreter, that
#: folder is one of them, and is opened to the service's user.
_MOUNTS = r"""
mount --make-rprivate /
mount -t tmpfs tmpfs "$OUT/layers"
for folder in /etc /opt /var/lib $SHUT; do
    name=$OUT/layers/${folder//\//_}
    mkdir -p "$name/upper" "$name/work"
    mount -t overlay overlay -o "lowerdir=$folder,upperdir=$name/upper,workdir=$name/work" "$folder"
done
[[ -z $SHUT ]] || chmod o+x $SHUT
mkdir -p /etc/systemd/system
umask 022
"""
#: Instead of pip and the package index: our wheels, and links to this process's libraries.
_INSTALL_HERE = """
PYTHONPATH=$ROOT $PYTHON - dist/*.whl <<'END'
import sys, pathlib
from tests.support.environment import Environment
made = Environment(pathlib.Path("FOLDER"), linked=True)
made.pip("install", "--no-deps", "--no-index", *sys.argv[1:])
END
"""
#: In place of systemd's `enable --now`: runs the unit's command as its user, without root's environment.
_SYSTEMCTL = r"""
systemctl() {
    [[ $1 = enable ]] || return 0
    local unit=/etc/systemd/system/$3.service
    value() { sed -n "s/^$1=//p" "$unit"; }
    local who=(--reuid "$(value User)" --regid "$(value Group)" --init-groups)
    (umask "$(value UMask)" && exec env -i PATH=/usr/bin:/bin setpriv "${who[@]}" $(value ExecStart)) \
        > "$OUT/log" 2>&1 &
    trap "kill $! && wait $!" EXIT
}
"""
_LOOPBACK = """
$PYTHON -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh22x", b"lo", 1))'
"""


@dataclass(frozen=True)
class SetUp:
    """The output of the page's blocks by their captions, and the log of the service."""

    printed: dict[str, str]
    log: str
    owners: dict[str, str]


def need_namespaces() -> None:
    """Skip the test if this process may not make the namespaces, but not in CI."""
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True)
    if os.geteuid() or tried.returncode:
        if "CI" in os.environ:
            raise PermissionError("needs root, and the right to make namespaces of mounts and networks")
        pytest.skip("needs root, and the right to make namespaces of mounts and networks")


def shut_folders() -> list[str]:
    """Return the folders above the interpreter and its libraries that only root may enter."""
    ways = (Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve())
    folders = {folder for way in ways for folder in (way, *way.parents)}
    return sorted(str(folder) for folder in folders if not folder.stat().st_mode & 0o001)


def block(caption: str, *, here: bool) -> str:
    """Return the page's block with the two replacements of this test."""
    text = block_called(PAGE, caption).text.replace(URL, SQLITE)
    if here and caption == "install the wheels":
        venv, _, rest = text.split("\n", 2)
        return _INSTALL_HERE.replace("FOLDER", venv.removeprefix("python3 -m venv ")) + rest
    return text


def script(*, here: bool) -> str:
    """Return the page's blocks as one script that keeps the output of each."""
    blocks = [
        f'{{\n{block(caption, here=here)}}} > "$OUT/{number}"\n' for number, caption in enumerate(CAPTIONS)
    ]
    token = f'export TOKEN=$(tail -n 1 "$OUT/{CAPTIONS.index("make the database, the store and a token")}")\n'
    inside = _LOOPBACK + _SYSTEMCTL + blocks[4] + blocks[5]
    owners = 'cd /var/lib/calotype && stat -c "%n %U:%G:%a" * images/* > "$OUT/owners"\n'
    return (
        _MOUNTS
        + "".join(blocks[:4])
        + token
        + "export TOKEN=${TOKEN##* }\n"
        + f"unshare --net bash -euo pipefail <<'INSIDE'\n{inside}INSIDE\n"
        + owners
    )


@pytest.fixture(scope="module", params=REST)
def set_up(
    request: pytest.FixtureRequest, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> SetUp:
    """The results of the page's commands. With `make campaigns`, libraries come from the package index."""
    need_namespaces()
    folder = tmp_path_factory.mktemp("set-up")
    (folder / "dist").mkdir()
    (folder / "layers").mkdir()
    for source in (META, *BASE, *DRIVERS):
        (folder / "dist" / wheels[source].name).symlink_to(wheels[source])
    names = {
        "OUT": str(folder),
        "ROOT": str(ROOT),
        "PYTHON": sys.executable,
        "SHUT": " ".join(shut_folders()),
    }
    # python3 is the interpreter of the tests, because the linked libraries fit only that one.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-euo", "pipefail", "-c", script(here=request.param == "here")],
        cwd=folder,
        env={"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", **names},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    log = folder / "log"
    told = log.read_text() if log.exists() else ""
    assert done.returncode == 0, done.stdout + done.stderr + told
    owners = dict(line.split(" ") for line in (folder / "owners").read_text().splitlines())
    return SetUp(
        {caption: (folder / str(number)).read_text() for number, caption in enumerate(CAPTIONS)}, told, owners
    )


def test_the_set_up_ends_with_a_service_that_stores_an_image(set_up: SetUp) -> None:
    """r1-E20"""
    health, image = set_up.printed["try it"].splitlines()[-2:] or ("", "")

    assert json.loads(health) == {"database": "ok", "stores": {"file": "ok"}}
    assert json.loads(image)["image"]["status"] == "active"


def test_the_service_of_the_set_up_serves_requests_and_logs_no_error(set_up: SetUp) -> None:
    """r1-E20: the first request got 503 if only root could read the file of tokens."""
    assert "status=200" in set_up.log
    assert [line for line in set_up.log.splitlines() if " ERROR " in line or " status=5" in line] == []


def test_files_of_the_set_up_belong_to_the_services_user_and_are_closed_to_others(set_up: SetUp) -> None:
    """r1-E20"""
    assert {"tokens.json", "calotype.sqlite", "images"} <= set(set_up.owners)
    assert {access.rpartition(":")[0] for access in set_up.owners.values()} == {"calotype:calotype"}
    assert {access[-1] for access in set_up.owners.values()} == {"0"}
