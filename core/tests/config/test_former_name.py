"""An ini file from before the project was renamed is refused with one sentence, by every command (r1-E18)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from calotype.config.interpolation import SettingsError
from calotype.config.settings import read_settings

COMMANDS = {
    "pserve": ("pserve", "INI"),
    "calotype-manage": ("calotype-manage", "stores", "INI"),
}
APP = "[app:main]\nuse = egg:calotype-core\nsqlalchemy.url = sqlite://\n"
SERVER = "[server:main]\nuse = egg:calotype-server#main\nlisten = 127.0.0.1:0\n"


def run(command: str, ini: Path) -> subprocess.CompletedProcess[str]:
    name, *arguments = (str(ini) if word == "INI" else word for word in COMMANDS[command])
    return subprocess.run(
        [Path(sys.executable).with_name(name), *arguments], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        (APP.replace("calotype", "tintype") + SERVER, 2, "tintype-core"),
        (APP + SERVER.replace("calotype", "tintype"), 5, "tintype-server"),
        (APP + "tintype.migrate = true\n" + SERVER, 4, "tintype.migrate"),
        (APP + "[filter:x]\nuse=egg:tintype-extra\n" + SERVER, 5, "tintype-extra"),
    ],
)
def test_an_ini_file_with_the_former_name_is_refused_with_one_sentence(
    command: str, text: str, line: int, name: str, tmp_path: Path
) -> None:
    ini = tmp_path / "old.ini"
    ini.write_text(text)

    done = run(command, ini)

    speaker = "calotype" if command == "pserve" else command
    assert (done.returncode, done.stdout) == (1, "")
    at = f"{ini}, line {line}: {name}"
    assert done.stderr == f"{speaker}: {at}: tintype is called calotype now; rename it throughout the file\n"


def test_a_comment_may_hold_the_former_name(tmp_path: Path) -> None:
    ini = tmp_path / "new.ini"
    ini.write_text("# Was use = egg:tintype-core\n; tintype.migrate = true\n" + APP + SERVER)

    done = run("calotype-manage", ini)

    assert "tintype" not in done.stderr


def test_a_setting_with_the_former_name_is_refused_where_there_is_no_file() -> None:
    """A WSGI server that reads the ini file in its own way passes the settings alone."""
    with pytest.raises(SettingsError, match=r"^tintype\.migrate: tintype is called calotype now"):
        read_settings({}, {"sqlalchemy.url": "sqlite://", "tintype.migrate": "true"})
