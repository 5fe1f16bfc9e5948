"""A driver's options: one pydantic model for each driver, typed, with unknown keys refused.

An option is written `store.NAME.OPTION = value` in the ini file. The field's description documents it, the
field's type turns the text into a value, and `SecretStr` keeps a value out of listings, logs and errors.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping

from pydantic import BaseModel, ByteSize, ConfigDict, SecretStr

from calotype.config.quantities import parse_size
from calotype.config.reading import InvalidText, Wording, read
from calotype.stores.errors import ConfigurationError

Options = typing.TypeVar("Options", bound="StoreOptions")


class StoreOptions(BaseModel):
    """The base of every driver's `Options`. A driver without options uses it unchanged."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def missing(cls, given: Mapping[str, str]) -> list[str]:
        """Return the names of the required options that `given` lacks."""
        return [name for name, field in cls.model_fields.items() if field.is_required() and name not in given]

    def shown(self) -> dict[str, str]:
        """Return the options that are set, as an ini file writes them, with secrets masked."""
        return {
            name: "***" if isinstance(value, SecretStr) else written(value)
            for name, value in self
            if value is not None
        }

    def secrets(self) -> list[str]:
        """Return the secret values themselves, because tests search output for them."""
        return [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]


def written(value: object) -> str:
    """Return a value as an ini file writes it: `true` for True, `10MiB` for a ByteSize of 10485760."""
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


def read_options(
    store: str, model: type[Options], given: Mapping[str, str], others: Collection[str] = ()
) -> Options:
    """Build a store's options from the text of its ini keys.

    Args:
        others: Keys of the store that are no options of this model; an unknown option may mean one.

    Raises:
        ConfigurationError: an option is wrong. The sentence names the store, the option and its value.
    """
    try:
        return read(model, given, Wording("option", others))
    except InvalidText as error:
        raise ConfigurationError(store, str(error), option=error.key) from None
