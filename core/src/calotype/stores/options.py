"""The options of drivers: `calotype.config.options`, with errors that name the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from calotype.config.options import Options
from calotype.config.reading import InvalidText, Wording, read
from calotype.stores.errors import ConfigurationError

_OptionsT = TypeVar("_OptionsT", bound="StoreOptions")


class StoreOptions(Options):
    """The base class of every driver's `Options`. A driver without options uses it unchanged."""

    def place(self) -> str:
        """Return the required options, such as " (path = /srv/images)", for operators, or ""."""
        fields = type(self).model_fields
        shown = [f"{key} = {value}" for key, value in self.shown().items() if fields[key].is_required()]
        return f" ({', '.join(shown)})" if shown else ""


def read_options(
    store: str, model: type[_OptionsT], given: Mapping[str, str], others: Collection[str] = ()
) -> _OptionsT:
    """Build a store's options from the text of its ini keys.

    Args:
        others: Valid keys of the store that are not in this model, for the hint about an unknown option.

    Raises:
        ConfigurationError: an option is wrong. The message names the store, the option and its value.
    """
    try:
        return read(model, given, Wording("option", others))
    except InvalidText as error:
        raise ConfigurationError(store, str(error), option=error.key) from None
