"""The options of a plugin: a pydantic model that refuses unknown keys.

The ini file sets an option with `store.NAME.OPTION = value` or `extension.NAME.OPTION = value`. A field's
description documents the option, its type turns the text into a value, and `SecretStr` keeps the value out of
logs, listings and errors.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ByteSize, ConfigDict, SecretStr

from calotype.config.quantities import parse_size


class Options(BaseModel):
    """The base class of every plugin's `Options`. A plugin without options uses it unchanged."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def missing(cls, given: Mapping[str, str]) -> list[str]:
        """Return the names of the required options that `given` lacks."""
        return [name for name, field in cls.model_fields.items() if field.is_required() and name not in given]

    def shown(self) -> dict[str, str]:
        """Return the text of each option that is set, in the form of the ini file, with secrets masked."""
        return {
            name: "***" if isinstance(value, SecretStr) else written(value)
            for name, value in self
            if value is not None
        }

    def secrets(self) -> list[str]:
        """Return the secret values themselves, for tests that search output for them."""
        return [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]


def written(value: object) -> str:
    """Return a value as text for an ini file: `true` for True, `10MiB` for a ByteSize of 10485760."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        short = value.human_readable().replace(".0", "")
        return short if parse_size(short) == value else str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (list, tuple)):
        return " ".join(str(one) for one in value)
    return str(value)
