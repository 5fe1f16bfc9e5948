"""Read text from an ini file into a typed model: the settings, a store's options, an extension's options.

A field's type turns its text into a value; a field that is a collection is split at blanks and commas.
All that is wrong is reported in one sentence.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from calotype.config.messages import did_you_mean, problem_told, quoted

Model = typing.TypeVar("Model", bound=BaseModel)

_COLLECTIONS = (tuple, list, set, frozenset)


class InvalidText(Exception):
    """Text does not fit its model. The message says all that is wrong; `key` is the first key that is."""

    def __init__(self, sentence: str, key: str | None):
        super().__init__(sentence)
        self.key = key


@dataclass(frozen=True, slots=True)
class Wording:
    """How messages name the keys of a model.

    `noun` stands before each key, as "option" does. `others` are keys that are read elsewhere, one of which
    an unknown key may mean. `source_of` returns what is to be said behind a key's value: where it is from.
    """

    noun: str = ""
    others: Collection[str] = ()
    source_of: Callable[[str], str] = lambda key: ""


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the ini keys of a model and their fields."""
    return {field.alias or name: field for name, field in model.model_fields.items() if not field.exclude}


def read(model: type[Model], given: Mapping[str, str], wording: Wording) -> Model:
    """Build a model from the text of its keys.

    Raises:
        InvalidText: a required key is missing, a key is unknown, or a text does not fit.
    """
    fields = keys_of(model)
    try:
        return model.model_validate({key: _split(fields.get(key), text) for key, text in given.items()})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        sentence = "; ".join(_sentence(problem, fields, given, wording) for problem in problems)
        first = next((str(problem["loc"][0]) for problem in problems if problem["loc"]), None)
        raise InvalidText(sentence, first) from None


def _split(field: FieldInfo | None, text: str) -> str | list[str]:
    """Return the words of a text whose field is a collection, and any other text as it is."""
    kinds = [] if field is None else [field.annotation, *typing.get_args(field.annotation)]
    is_collection = any(typing.get_origin(kind) in _COLLECTIONS for kind in kinds)
    return text.replace(",", " ").split() if is_collection else str(text)


def _sentence(
    problem: ErrorDetails, fields: Mapping[str, FieldInfo], given: Mapping[str, str], wording: Wording
) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    named = f"{wording.noun} {key}".lstrip()
    if problem["type"] == "missing":
        return f"{named} is missing"
    if problem["type"] == "extra_forbidden":
        known = f" (it takes: {', '.join(fields) or 'none'})"
        return f"unknown {named}{did_you_mean(key, [*fields, *wording.others]) or known}"
    message = problem_told(problem)
    if not key:
        return message
    first = str(problem["loc"][0])
    if first not in given or _is_secret(fields.get(first)):
        return f"{named}: {message}"
    return f"{named}: {message}, not {quoted(given[first])}{wording.source_of(first)}"


def _is_secret(field: FieldInfo | None) -> bool:
    """Return whether the value of a field must not be shown."""
    return field is None or SecretStr in (field.annotation, *typing.get_args(field.annotation))
