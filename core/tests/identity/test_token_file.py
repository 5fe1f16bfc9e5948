"""Static tokens: identification, changes of the file, and damaged files."""

from __future__ import annotations

import datetime
import hmac
import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.identity.token_file import TokenFile, TokensUnreadable
from calotype.model.policy import Caller


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


def test_a_token_identifies_its_caller(tokens: TokenFile) -> None:
    text = tokens.add("alice", "demo", ("Member", "reader"))
    assert tokens.caller(text) == Caller("alice", "demo", frozenset({"member", "reader"}))


def test_the_file_contains_no_token(tokens: TokenFile) -> None:
    secret = tokens.add("alice", "demo", ()).partition(".")[2]
    assert secret not in tokens.path.read_text()
    assert secret not in repr(tokens.entries())


def test_only_the_owner_can_read_the_file(tokens: TokenFile) -> None:
    before = os.umask(0)
    try:
        tokens.add("alice", "demo", ())
        tokens.add("bob", "demo", ())
    finally:
        os.umask(before)
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600


def test_without_a_file_nobody_has_a_token(tokens: TokenFile) -> None:
    assert tokens.entries() == []
    assert tokens.caller("0" * 12 + "." + "x" * 43) is None


def test_if_the_file_is_removed_its_tokens_are_invalid(tokens: TokenFile) -> None:
    text = tokens.add("alice", "demo", ())
    assert tokens.caller(text) is not None
    tokens.path.unlink()
    assert tokens.caller(text) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[{}]",
        b'{"id": 1}',
        b"\xff\xfe",
        b'[{"id": "0", "sha256": "0", "user": "u", "extra": 1}]',
        b'[{"id": "0", "sha256": "0", "user": "u", "expires": "2030-01-01T00:00:00"}]',
    ],
    ids=["empty", "cut", "no fields", "no list", "no text", "an unknown field", "a time without a zone"],
)
def test_with_a_damaged_file_no_caller_can_be_identified(tokens: TokenFile, text: bytes) -> None:
    token = tokens.add("alice", "demo", ())
    assert tokens.caller(token) is not None
    tokens.path.write_bytes(text)
    with pytest.raises(TokensUnreadable, match=r"^the file of tokens \S+/tokens.json is damaged: \w+"):
        tokens.caller(token)


def test_with_a_directory_in_the_files_place_no_caller_can_be_identified(tokens: TokenFile) -> None:
    tokens.path.mkdir()
    with pytest.raises(TokensUnreadable, match=f"{tokens.path} cannot be read"):
        tokens.caller("0" * 12 + "." + "x" * 43)


def test_another_process_adds_and_revokes_without_a_restart(tokens: TokenFile) -> None:
    elsewhere = TokenFile(tokens.path)
    text = elsewhere.add("alice", "demo", ())
    assert tokens.caller(text) is not None
    assert elsewhere.revoke(text.partition(".")[0])
    assert tokens.caller(text) is None
    assert not elsewhere.revoke(text.partition(".")[0])


def test_the_file_is_read_again_only_after_a_change(
    tokens: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tokens.add("alice", "demo", ())
    assert tokens.caller(text) is not None
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("the file was read again"))
    assert tokens.caller(text) is not None


@pytest.mark.parametrize(("seconds", "known"), [(-1, False), (0, False), (60, True)])
def test_a_token_is_valid_until_it_expires(tokens: TokenFile, seconds: int, known: bool) -> None:
    now = datetime.datetime.now(datetime.UTC)
    text = tokens.add("alice", "demo", (), now + datetime.timedelta(seconds=seconds))
    assert (tokens.caller(text) is not None) is known


def test_o_09_secrets_are_compared_in_constant_time_and_an_unknown_id_costs_the_same(
    tokens: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    real = hmac.compare_digest

    def compare(a: str, b: str) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr("calotype.identity.token_file.hmac.compare_digest", compare)
    text = tokens.add("alice", "demo", ())
    token_id = text.partition(".")[0]
    assert tokens.caller(text) is not None
    assert tokens.caller(f"{token_id}.{'x' * 43}") is None
    assert tokens.caller(f"{'f' * 12}.{'x' * 43}") is None
    assert compared == [(64, 64)] * 3


def test_a_token_with_another_tokens_secret_is_unknown(tokens: TokenFile) -> None:
    first, second = tokens.add("alice", "demo", ()), tokens.add("bob", "demo", ())
    assert tokens.caller(first.partition(".")[0] + "." + second.partition(".")[2]) is None


@given(text=st.text() | st.text("0123456789abcdef.-_", max_size=80))
def test_a_malformed_token_is_unknown(tokens: TokenFile, text: str) -> None:
    assert tokens.caller(text) is None


def test_two_concurrent_writers_lose_no_token(tokens: TokenFile) -> None:
    made: list[str] = []

    def add(user: str) -> None:
        made.extend(TokenFile(tokens.path).add(f"{user}{number}", "demo", ()) for number in range(10))

    threads = [threading.Thread(target=add, args=(user,)) for user in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 30
    assert len({tokens.caller(text) for text in made} - {None}) == 30
    assert len(json.loads(tokens.path.read_text())) == 30
    assert [path.name for path in tokens.path.parent.glob(".tokens-*")] == []
