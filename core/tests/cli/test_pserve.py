"""`pserve` reads [server:main]: variables, units, hints, and the places of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyramid.scripts.common import get_config_loader

from calotype.cli.logging_sections import LoggingSections
from calotype.cli.pserve import _Loader, main
from calotype.config.interpolation import SettingsError
from calotype.stores.bulkhead import Bounds
from calotype_server import ServerSettings


def read(folder: Path, *lines: str, use: str = "egg:calotype-server#main") -> ServerSettings | None:
    """Return the settings of a section with these lines; the first of them is line 5 of the file."""
    ini = folder / "test.ini"
    ini.write_text("\n".join(["[DEFAULT]", "port = 0", "[server:main]", f"use = {use}", *lines, ""]))
    return _Loader(get_config_loader(str(ini))).server_settings(None, {})


def test_variables_and_units_become_plain_values(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        "listen = 127.0.0.1:${port}",
        "recv_bytes = 64KiB",
        "drain_timeout = 1m",
        "reuse_port = yes",
        "underscore_headers = x-image-meta- x-glance-",
        "expose_tracebacks = true",
    )
    assert settings is not None
    assert [place[3] for place in settings.listen] == [("127.0.0.1", 0)]
    assert (settings.recv_bytes, settings.drain_timeout, settings.reuse_port) == (65536, 60, True)
    assert settings.underscore_headers == ("x-image-meta-", "x-glance-")
    assert settings.expose_tracebacks is True


def test_settings_of_another_server_are_not_parsed(tmp_path: Path) -> None:
    assert read(tmp_path, "treads = ${nowhere}", use="egg:waitress#main") is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("treads = 4", r"unknown setting treads of the server \(did you mean threads\?\)"),
        ("threads = many", "threads of the server: must be a whole number, not 'many'"),
        ("threads = 0", "threads of the server: must be at least 1, not '0'"),
        ("drain_timeout = soon", "drain_timeout of the server: must be a time.*, not 'soon'"),
        ("recv_bytes = 1x", "recv_bytes of the server: must be a size.*, not '1x'"),
        ("recv_bytes = 0B", "recv_bytes of the server: must be at least 1, not 0"),
        ("min_rate = -1", "min_rate of the server: must be a size"),
        ("reuse_port = ture", "reuse_port of the server: must be true or false, not 'ture'"),
        ("listen = 127.0.0.1:${port}x", r"to 65535, .* not '0x' in '127.0.0.1:0x' \(port=0 in line 2\)"),
        ("listen = ${nowhere}", r"listen: '\$\{nowhere\}' names no variable.*: set nowhere in \[DEFAULT\]"),
        (
            "reuse_port = ${env:CALOTYPE_TEST_WORD}",
            r"must be true or false, not '\$\{env:CALOTYPE_TEST_WORD\}'",
        ),
        (
            "backlog = ${env:CALOTYPE_TEST_WORD}",
            r"must be a whole number, not '\$\{env:CALOTYPE_TEST_WORD\}'",
        ),
    ],
)
def test_a_mistake_is_one_sentence_that_begins_with_its_place(
    line: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALOTYPE_TEST_WORD", "canary")
    with pytest.raises(SettingsError, match=rf"^{tmp_path}/test.ini, line 5: .*{says}") as error:
        read(tmp_path, line)
    assert "canary" not in str(error.value)


def test_some_workers_stay_free_if_all_downloads_of_four_stores_hang() -> None:
    """A hanging store blocks `max_downloads` workers, and the server replaces `blocked_threads`."""
    assert ServerSettings().blocked_threads >= 4 * Bounds().max_downloads


def test_a_distribution_given_in_place_of_an_ini_file_is_refused_in_one_sentence(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for argv in (["pserve", "egg:nosuch"], ["pserve", "egg:calotype-core"]):
        assert main(argv) == 1
        said = capfd.readouterr().err
        assert said.startswith("calotype: ")
        assert "Traceback" not in said


@pytest.mark.parametrize(
    "text",
    [
        "[app:main]\nuse = egg:calotype-core\n",
        "[loggers]\nkeys = root\n[handlers]\nkeys =\n[formatters]\nkeys = own\n[logger_root]\nhandlers =\n"
        "[formatter_own]\nclass = somewhere.Formatter\nformat = %(of_its_own)s\n",
        "[loggers]\nkeys = root\n[handlers]\nkeys =\n[formatters]\nkeys = new\n[logger_root]\nhandlers =\n"
        "[formatter_new]\nformat = {levelname} {message}\nstyle = {\n",
    ],
    ids=["none", "a class", "a style"],
)
def test_valid_logging_sections_are_accepted(text: str, tmp_path: Path) -> None:
    ini = tmp_path / "test.ini"
    ini.write_text(text)
    LoggingSections(str(ini), {}).check()


@pytest.mark.parametrize("before", ["database_url=", ""], ids=["a variable", "a URL"])
def test_a_password_in_place_of_the_ini_file_is_not_shown(
    before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pserve", f"{before}postgresql+psycopg://u:hunter2@h/x"]) == 2
    said = f"calotype: {before}postgresql+psycopg://***@h/x: there is no such ini file: name one that exists"
    assert capsys.readouterr().err.startswith(said)
