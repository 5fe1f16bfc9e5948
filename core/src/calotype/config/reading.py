"""Read text from an ini file into a typed model: the settings, a store's options, an extension's options.

A field's type turns its text into a value; the text of a collection is split at blanks and commas.
One sentence reports everything that is wrong.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from calotype.config.messages import did_you_mean, quoted
from calotype.config.options import written

Model = typing.TypeVar("Model", bound=BaseModel)

_COLLECTIONS = (tuple, list, set, frozenset)
#: Messages by pydantic's type of problem. The problem's context has the values for {names}.
_MUST_BE = {
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} items",
    "ip_v4_network": "must be a network, such as 10.0.0.0/8 or fd00::/8",
}


class InvalidText(Exception):
    """A text does not fit its model. The message reports all problems; `key` is the first invalid key."""

    def __init__(self, sentence: str, key: str | None):
        super().__init__(sentence)
        self.key = key


@dataclass(frozen=True, slots=True)
class Wording:
    """The words by which messages name the keys of a model.

    `noun` precedes each key, such as "option". `others` are keys that other code reads; a hint about an
    unknown key may suggest them. `source_of` returns a text about the variables that a key's value comes
    from. Messages show this text after the value.
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
        InvalidText: a required key is missing, a key is unknown, or a value is invalid.
    """
    fields = keys_of(model)
    try:
        return model.model_validate({key: _split(fields.get(key), text) for key, text in given.items()})
    except ValidationError as error:
        problems: dict[str | None, ErrorDetails] = {}
        for problem in error.errors(include_url=False, include_input=False):
            # Keep one problem per key: pydantic may report several, such as one for each member of a union.
            problems.setdefault(str(problem["loc"][0]) if problem["loc"] else None, problem)
        sentence = "; ".join(_sentence(problem, fields, given, wording) for problem in problems.values())
        raise InvalidText(sentence, next(filter(None, problems), None)) from None


def _split(field: FieldInfo | None, text: str) -> str | list[str]:
    """Return the text, split into words if the field is a collection."""
    kinds = [] if field is None else [field.annotation, *typing.get_args(field.annotation)]
    is_collection = any(typing.get_origin(kind) in _COLLECTIONS for kind in kinds)
    return text.replace(",", " ").split() if is_collection else str(text)


def _sentence(
    problem: ErrorDetails, fields: Mapping[str, FieldInfo], given: Mapping[str, str], wording: Wording
) -> str:
    if not problem["loc"]:
        return _must_be(problem, None)
    key = str(problem["loc"][0])
    field, named = fields.get(key), f"{wording.noun} {key}".lstrip()
    if problem["type"] == "missing":
        return f"{named} is missing"
    if problem["type"] == "extra_forbidden":
        known = f" (it takes: {', '.join(fields) or 'none'})"
        return f"unknown {named}{did_you_mean(key, [*fields, *wording.others]) or known}"
    message = _must_be(problem, field)
    if key not in given or _is_secret(field):
        return f"{named}: {message}"
    # A message that begins with a quote already shows the invalid part of the value.
    value = "" if message.startswith("'") else f", not {quoted(given[key])}"
    return f"{named}: {message}{value}{wording.source_of(key)}"


def _must_be(problem: ErrorDetails, field: FieldInfo | None) -> str:
    """Return our own message for a problem, because pydantic's messages contain regular expressions."""
    context = {name: written(value) for name, value in problem.get("ctx", {}).items()}
    if problem["type"] in _MUST_BE:
        return _MUST_BE[problem["type"]].format_map(context)
    if problem["type"] == "string_pattern_mismatch" and field is not None:
        example = next(iter(field.examples or [field.default]))
        return f"must look like {example}" if example else f"must fit its description ({field.description})"
    return re.sub(r"^\w+ should ", "must ", problem["msg"].removeprefix("Value error, "))


def _is_secret(field: FieldInfo | None) -> bool:
    """Return True if the value of a field must not be shown."""
    return field is None or SecretStr in (field.annotation, *typing.get_args(field.annotation))
