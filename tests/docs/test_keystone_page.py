"""Commands and servers accept the ini file of docs/keystone.md."""

from __future__ import annotations

from pathlib import Path

import plaster
import pytest

from tests.support.forked import run_manage
from tests.support.pages import DOCS, read_blocks
from tests.support.server import INI

#: The sections of the page that are added to the file.
HEAD = "[app:main]\nuse = egg:calotype-core\n"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """calotype.ini with the page's sections."""
    (block,) = (block.text for block in read_blocks(DOCS / "keystone.md") if block.language == "ini")
    path = tmp_path / "keystone.ini"
    path.write_text(INI.read_text().replace(HEAD, block))
    path.chmod(0o640)
    return path


def test_commands_read_the_settings_of_an_application_behind_the_filter(ini: Path, tmp_path: Path) -> None:
    """r1-E21: commands used to read the pipeline instead, and reported a missing sqlalchemy.url."""
    done = run_manage(["stores", ini, f"data_dir={tmp_path}/data", "--create", "file"])

    assert done.returncode == 0, done.stderr
    assert "its place belongs to this store" in done.stdout


def test_the_filter_and_the_application_of_the_page_can_be_loaded(ini: Path, tmp_path: Path) -> None:
    loader = plaster.get_loader(str(ini), protocols=["wsgi"])

    app = loader.get_wsgi_app(defaults={"data_dir": str(tmp_path / "data")})

    assert type(app).__name__ == "AuthProtocol"
