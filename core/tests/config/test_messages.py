"""Parts of messages: values of settings without the passwords in URLs, and numbers with nouns."""

from __future__ import annotations

import pytest

from calotype.cli.ini_file import arguments_of
from calotype.config.messages import counted, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://u:hunter2@h/x", "postgresql+psycopg://***@h/x"),
        ("postgresql+psycopg://u:hunter2/x", "postgresql+psycopg://***/x"),
        ("mysql+pymysql://hun/ter2@h/x", "mysql+pymysql://***@h/x"),
        ("https://token@h/x", "https://***@h/x"),
        ("postgresql+psycopg://u@h/x", "postgresql+psycopg://u@h/x"),
    ],
)
def test_a_url_is_shown_without_its_password_and_otherwise_as_it_is(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_a_suggested_command_has_the_user_of_a_url_without_a_password() -> None:
    """The command could not be pasted, because *** stood in place of the user."""
    typed = ["database_url=postgresql+psycopg://u@h/x"]
    assert arguments_of("my images.ini", typed) == f"'my images.ini' {typed[0]}"


def test_a_number_has_its_noun_in_the_singular_or_the_plural() -> None:
    assert [counted(number, "blob") for number in (0, 1, 2)] == ["0 blobs", "1 blob", "2 blobs"]
    assert counted(2, "copy", "copies") == "2 copies"
