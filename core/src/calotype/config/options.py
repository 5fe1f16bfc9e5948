"""The options of a plugin: one pydantic model, declared once, typed, with unknown keys refused.

An option is written `store.NAME.OPTION = value` or `extension.NAME.OPTION = value` in the ini file.
A field's description says what it is for; the field's type turns the text into a value; `SecretStr` keeps
a value out of listings, logs and errors.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from typing import TypeVar

from pydantic import BaseModel, ByteSize, ConfigDict, SecretStr, ValidationError

from calotype.config.messages import did_you_mean, problem_told, quoted
from calotype.config.quantities import parse_size


class OptionsError(Exception):
    """Options are wrong. `option` is the first one; None where it is not one option's value."""

    def __init__(self, reason: str, option: str | None):
        super().__init__(reason)
        self.option = option


class Options(BaseModel):
    """Base of every plugin's `Options`; a plugin without options uses it as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def missing(cls, given: Mapping[str, str]) -> list[str]:
        """The names of the required options that `given` lacks."""
        return [name for name, field in cls.model_fields.items() if field.is_required() and name not in given]

    def shown(self) -> dict[str, str]:
        """The options as an ini file has them, secrets masked, unset ones left out."""
        return {
            name: "***" if isinstance(value, SecretStr) else written(value)
            for name, value in self
            if value is not None
        }

    def secrets(self) -> list[str]:
        """The secret values themselves, for tests that search for them."""
        return [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]


_OptionsT = TypeVar("_OptionsT", bound=Options)


def written(value: object) -> str:
    """Return a value as an ini file has it: true for Python's True, 10MiB for that many bytes."""
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


def read_options(model: type[_OptionsT], given: Mapping[str, str], others: Collection[str] = ()) -> _OptionsT:
    """Build a plugin's options from ini text.

    Args:
        others: Names that the core itself takes beside them, one of which may have been meant.

    Raises:
        OptionsError: in one sentence, naming the option and its value.
    """
    try:
        return model.model_validate({name: _listed(model, name, value) for name, value in given.items()})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        told = "; ".join(_sentence(model, problem, given, others) for problem in problems)
        first = next((str(problem["loc"][0]) for problem in problems if problem["loc"]), None)
        raise OptionsError(told, first) from None


def _listed(model: type[Options], name: str, value: str) -> str | list[str]:
    """Split an option whose type is a collection at blanks and commas."""
    field = model.model_fields.get(name)
    origin = typing.get_origin(field.annotation) if field else None
    return value.replace(",", " ").split() if origin in (tuple, list, set, frozenset) else str(value)


def _sentence(
    model: type[Options],
    problem: Mapping[str, typing.Any],
    given: Mapping[str, str],
    others: Collection[str],
) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"option {name} is missing"
    if problem["type"] == "extra_forbidden":
        known = [*model.model_fields, *others]
        hint = did_you_mean(name, known) or f" (it takes: {', '.join(model.model_fields) or 'none'})"
        return f"unknown option {name}{hint}"
    message = problem_told(problem)
    if not name:
        return message
    first = str(problem["loc"][0])
    is_shown = first in given and not _is_secret(model, first)
    return f"option {name}: {message}{f', not {quoted(given[first])}' if is_shown else ''}"


def _is_secret(model: type[Options], name: str) -> bool:
    """Whether the option's type is SecretStr, or one of its types is."""
    field = model.model_fields.get(name)
    return field is None or SecretStr in (field.annotation, *typing.get_args(field.annotation))
