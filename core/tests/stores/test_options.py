"""Options: typed values from the text of an ini file, or one sentence about the mistake."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr, field_validator, model_validator

from calotype.stores import ConfigurationError, StoreOptions
from calotype.stores.options import read_options


class Options(StoreOptions):
    path: Path
    secret_key: SecretStr | None = None
    fsync: bool = True
    retries: int = Field(3, ge=0)
    mode: Literal["fast", "safe"] = "safe"
    hosts: tuple[str, ...] = ()
    ports: list[int] = Field(default_factory=list)
    kinds: frozenset[str] = frozenset()

    @field_validator("retries")
    @classmethod
    def _few(cls, value: int) -> int:
        if value > 100:
            raise ValueError("more than 100 help nobody")
        return value

    @model_validator(mode="after")
    def _fits(self):
        if self.mode == "fast" and self.fsync:
            raise ValueError("mode fast and fsync exclude each other")
        return self


def refused(model=Options, **given: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_options("fast", model, given)
    assert caught.value.store == "fast"
    return str(caught.value)


def test_the_text_of_options_becomes_typed_values():
    options = read_options(
        "fast", Options, {"path": "/srv", "fsync": "no", "retries": "5", "mode": "fast", "secret_key": "k"}
    )

    assert (options.path, options.fsync, options.retries, options.mode) == (Path("/srv"), False, 5, "fast")
    assert options.secret_key.get_secret_value() == "k"


@pytest.mark.parametrize("text", ["a b c", "a,b,c", " a,  b\tc ", "a\nb\nc"])
def test_an_option_with_a_list_is_split_at_blanks_and_commas(text):
    options = read_options("fast", Options, {"path": "/", "hosts": text, "kinds": text})

    assert options.hosts == ("a", "b", "c")
    assert options.kinds == {"a", "b", "c"}
    assert read_options("fast", Options, {"path": "/", "ports": "1, 2 3"}).ports == [1, 2, 3]


def test_an_option_with_an_empty_list_has_no_items():
    assert read_options("fast", Options, {"path": "/", "hosts": ""}).hosts == ()


def test_a_text_option_is_not_split():
    assert read_options("fast", Options, {"path": "/a b,c"}).path == Path("/a b,c")


def test_the_error_for_a_missing_option_names_the_option():
    assert refused() == "store 'fast': option path is missing"
    assert Options.missing({}) == ["path"]
    assert Options.missing({"path": "/"}) == []


def test_an_unknown_option_is_reported_with_a_hint():
    assert refused(path="/", retris="1") == "store 'fast': unknown option retris (did you mean retries?)"


def test_an_unknown_option_without_a_similar_one_is_reported_with_all_options():
    sentence = refused(path="/", zzzzzz="1")

    assert sentence.startswith("store 'fast': unknown option zzzzzz (it takes: path, secret_key, fsync, ")
    assert refused(model=StoreOptions, x="1") == "store 'fast': unknown option x (it takes: none)"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("fsync", "perhaps", "option fsync: must be true or false"),
        ("retries", "many", "option retries: must be a whole number, not 'many'"),
        ("retries", "-1", "option retries: must be at least 0, not '-1'"),
        ("retries", "101", "option retries: more than 100 help nobody"),
        ("mode", "slow", "option mode: must be 'fast' or 'safe'"),
        ("ports", "1 x", "option ports: must be a whole number, not '1 x'"),
        ("mode", "fast", "mode fast and fsync exclude each other"),
    ],
)
def test_the_error_for_a_value_of_the_wrong_type_names_its_option(name, text, sentence):
    assert refused(path="/", **{name: text}).startswith(f"store 'fast': {sentence}")


def test_all_wrong_options_are_reported_at_once():
    sentence = refused(retries="x", fsnc="1")

    assert "option path is missing; option retries: " in sentence
    assert "unknown option fsnc (did you mean fsync?)" in sentence


def test_a_secret_is_masked_wherever_options_are_shown():
    options = read_options("fast", Options, {"path": "/srv", "secret_key": "hunter2"})

    assert options.shown() == {
        "path": "/srv",
        "secret_key": "***",
        "fsync": "true",
        "retries": "3",
        "mode": "safe",
        "hosts": "",
        "ports": "",
        "kinds": "",
    }
    assert "hunter2" not in repr(options)
    assert options.secrets() == ["hunter2"]


def test_an_unset_option_is_not_shown():
    assert "secret_key" not in read_options("fast", Options, {"path": "/"}).shown()


def test_an_invalid_secret_is_not_quoted():
    class Strict(StoreOptions):
        secret_key: SecretStr = Field(max_length=3)

    sentence = refused(model=Strict, secret_key="hunter2")

    assert sentence.startswith("store 'fast': option secret_key: ")
    assert "hunter2" not in sentence


def test_options_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        read_options("fast", Options, {"path": "/"}).retries = 1
