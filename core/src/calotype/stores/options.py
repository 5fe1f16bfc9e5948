"""A driver's options: `calotype.config.options` in the words of a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from calotype.config import options
from calotype.config.options import Options, OptionsError
from calotype.stores.errors import ConfigurationError


class StoreOptions(Options):
    """Base of every driver's `Options`; a driver without options uses it as it is."""


_OptionsT = TypeVar("_OptionsT", bound=StoreOptions)


def read_options(
    store: str, model: type[_OptionsT], given: Mapping[str, str], others: Collection[str] = ()
) -> _OptionsT:
    """Build the options of a store from ini text, as `options.read_options`.

    Raises:
        ConfigurationError: in one sentence, naming the store, the option and its value.
    """
    try:
        return options.read_options(model, given, others)
    except OptionsError as error:
        raise ConfigurationError(store, str(error), option=error.option) from None
