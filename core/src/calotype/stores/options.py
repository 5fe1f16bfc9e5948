"""A driver's options: `calotype.config.options` in the words of a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from calotype.config.options import Options
from calotype.config.reading import InvalidText, Wording, read
from calotype.stores.errors import ConfigurationError

_OptionsT = TypeVar("_OptionsT", bound="StoreOptions")


class StoreOptions(Options):
    """The base of every driver's `Options`. A driver without options uses it unchanged."""


def read_options(
    store: str, model: type[_OptionsT], given: Mapping[str, str], others: Collection[str] = ()
) -> _OptionsT:
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
