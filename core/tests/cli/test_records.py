"""How commands print records."""

from __future__ import annotations

import datetime
import json

import pytest

from calotype.cli.records import print_records, show_time

AT = datetime.datetime(2026, 1, 31, 12, 0, 5, 7, tzinfo=datetime.UTC)


def test_elsewhere_than_on_a_terminal_a_record_is_a_json_object_with_the_times_of_the_audit_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_records([{"found_at": AT, "closed_at": None}], dict, str)

    assert json.loads(capsys.readouterr().out) == {
        "found_at": "2026-01-31T12:00:05.000007Z",
        "closed_at": None,
    }


def test_a_time_for_people_has_seconds_and_its_zone() -> None:
    assert show_time(AT) == "2026-01-31 12:00:05Z"
