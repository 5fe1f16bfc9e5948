"""Commands print records as text on a terminal and as JSON elsewhere."""

from __future__ import annotations

import datetime
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from calotype.cli.manage import main
from calotype.cli.records import print_records, print_table, show_time
from tests.support.server import INI

AT = datetime.datetime(2026, 1, 31, 12, 0, 5, 7, tzinfo=datetime.UTC)


def test_a_record_that_is_not_printed_on_a_terminal_is_json_with_times_as_in_the_audit_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_records([{"found_at": AT, "closed_at": None}], dict, str)

    assert json.loads(capsys.readouterr().out) == {
        "found_at": "2026-01-31T12:00:05.000007Z",
        "closed_at": None,
    }


def test_a_time_on_a_terminal_has_seconds_and_a_time_zone() -> None:
    assert show_time(AT) == "2026-01-31 12:00:05Z"


def test_a_text_from_a_client_or_a_receiver_cannot_change_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """M-01: neither by an escape sequence, nor by rich's markup."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then considers the output a terminal
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    print_table(["\x1b]0;title\x07[red]name\n[/red]\u202e"], {"name": str})

    (_, row) = capsys.readouterr().out.splitlines()
    assert row.strip() == "?]0;title?[red]name?[/red]?"


def test_a_record_in_a_pipe_is_json_and_a_day_has_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"day": AT.date(), "name": "\x1b"}], {"name": str}, dict)

    assert capsys.readouterr().out == '{"day": "2026-01-31", "name": "\\u001b"}\n'


def test_fsck_prints_json_into_a_pipe_even_if_standard_error_is_a_terminal(tmp_path: Path) -> None:
    """`fsck INI | jq`, started in a terminal, used to print text for people."""
    variables = [str(INI), f"data_dir={tmp_path}"]
    assert CliRunner().invoke(main, ["stores", *variables, "--create", "file"]).exit_code == 0
    ours, theirs = pty.openpty()
    program = Path(sys.executable).with_name("calotype-manage")
    done = subprocess.run(
        [program, "fsck", *variables], stdout=subprocess.PIPE, stderr=theirs, check=True, timeout=120
    )
    os.close(theirs)
    os.close(ours)

    assert json.loads(done.stdout) == {"copies": 0, "objects": 0, "wrong": 0}
