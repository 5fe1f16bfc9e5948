"""A driver's options: one pydantic model a driver, declared once, typed, with unknown keys refused.

An option is written `store.NAME.OPTION = value` in the ini file. A field's
description says what it is for; the field's type turns the text into a value;
`SecretStr` keeps a value out of listings, logs and errors.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from calotype.stores.errors import ConfigurationError


class StoreOptions(BaseModel):
    """Base of every driver's `Options`; a driver without options uses it as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def missing(cls, given: Mapping[str, str]) -> list[str]:
        """The names of the required options that `given` lacks."""
        return [name for name, field in cls.model_fields.items() if field.is_required() and name not in given]

    def shown(self) -> dict[str, str]:
        """The options as text for people, secrets masked, unset ones left out."""
        return {
            name: "***" if isinstance(value, SecretStr) else str(value)
            for name, value in self
            if value is not None
        }

    def secrets(self) -> list[str]:
        """The secret values themselves, for tests that search for them."""
        return [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]


def read_options(store: str, model: type[StoreOptions], given: Mapping[str, str]) -> StoreOptions:
    """Build a driver's options from ini text.

    Raises:
        ConfigurationError: in one sentence, naming the store and the option.
    """
    given = {name: _listed(model, name, value) for name, value in given.items()}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(store, "; ".join(_sentences(model, error))) from None


def _listed(model: type[StoreOptions], name: str, value: str) -> str | list[str]:
    """Split an option whose type is a collection at blanks and commas."""
    field = model.model_fields.get(name)
    origin = typing.get_origin(field.annotation) if field else None
    return value.replace(",", " ").split() if origin in (tuple, list, set, frozenset) else value


def _sentences(model: type[StoreOptions], error: ValidationError) -> typing.Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            yield f"option {name} is missing"
        elif problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, model.model_fields, n=1)
            hint = (
                f"did you mean {near[0]}?" if near else f"it takes: {', '.join(model.model_fields) or 'none'}"
            )
            yield f"unknown option {name} ({hint})"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            yield f"option {name}: {message}" if name else message
