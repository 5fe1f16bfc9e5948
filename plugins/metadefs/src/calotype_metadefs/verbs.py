"""The verbs on metadata definitions: keys and values that are useful on images, flavors and volumes.

The service only stores definitions, for dashboards and clients to show. It does not check images against
them. Each verb that changes something checks the caller's right in its unit of work. This module does not
know HTTP.

A namespace holds definitions of four kinds (`Kind`). A protected namespace cannot be deleted, and nothing can
be removed from it. The contents of a namespace are limited, because one response shows all of them.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calotype.config.messages import not_one_of
from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import require
from calotype.model.errors import Conflict, NotFound, Protected
from calotype.model.fields import InvalidRequest, RequestTooLarge, check_project
from calotype.model.images import Visibility
from calotype.model.policy import Caller
from calotype_metadefs.database import (
    Definition,
    Definitions,
    Kind,
    LockedNamespace,
    Namespace,
    add_namespace,
    add_resource_types,
)
from calotype_metadefs.rights import DEFINE, GRANTS

#: Maximum length of the name of a namespace or of a resource type, in characters.
SHORT_MAX = 80
#: Maximum length of any other name, in characters.
NAME_MAX = 255
DESCRIPTION_MAX = 500
#: Maximum number of definitions of one kind in a namespace, and of resource types.
ITEMS_MAX = 1000
#: Maximum size of all definitions in a namespace, in bytes. A JSON document has the same limit.
BYTES_MAX = 1 << 20

_NAME_LENGTHS = {Kind.ASSOCIATION: SHORT_MAX}
_FIELD_LENGTHS = {"display_name": SHORT_MAX, "description": DESCRIPTION_MAX}
# Names become segments of paths, and appear in logs and terminals.
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/]")
# Texts may have several lines.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DefinitionDraft:
    """A definition as a client sends it. `body` has its other keys, as JSON values."""

    kind: Kind
    name: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NamespaceDraft:
    """A whole namespace as a client sends it.

    If `owner` is None, a new namespace belongs to the caller's project, and an existing one keeps its owner.
    """

    name: str
    display_name: str | None = None
    description: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    protected: bool = False
    owner: str | None = None
    contents: tuple[DefinitionDraft, ...] = ()


class Metadefs:
    """The verbs on metadata definitions of one database. All threads share an instance.

    `definitions` has the queries.
    """

    def __init__(self, database: Database):
        self._database = database
        self.definitions = Definitions(database.reading)

    @contextlib.contextmanager
    def _locked(
        self, namespace: Namespace, caller: Caller, *, removes: bool = False
    ) -> Iterator[LockedNamespace]:
        """Begin a unit of work on a namespace.

        Raises:
            NotAllowed, CallerExpired: the caller does not have the right DEFINE, or its token has expired.
            Protected: the unit removes something from a protected namespace.
        """
        with self._database.unit(frees=removes) as unit:
            require(caller, DEFINE, GRANTS)
            locked = LockedNamespace(unit.connection, namespace.id)
            if removes:
                _require_unprotected(locked.namespace)
            yield locked

    @retry_on_conflict
    def create(self, draft: NamespaceDraft, caller: Caller) -> Namespace:
        """Create a namespace with its definitions, and return it.

        Raises:
            InvalidRequest, RequestTooLarge: the draft breaks a rule.
            Conflict: two definitions of one kind have the same name.
            DuplicateDefinition: another namespace has the name.
        """
        fields = _checked_fields(draft)
        _check_definitions(draft.contents)
        self._start_resource_types(draft.contents, caller)
        owner = draft.owner if draft.owner is not None else caller.project
        with self._database.unit() as unit:
            require(caller, DEFINE, GRANTS)
            locked = add_namespace(unit.connection, draft.name, {**fields, "owner": owner})
            _add(locked, draft.contents)
            return locked.namespace

    @retry_on_conflict
    def update(self, namespace: Namespace, draft: NamespaceDraft, caller: Caller) -> Namespace:
        """Set all fields of a namespace to the draft's, and return it. Its definitions do not change.

        Raises:
            InvalidRequest: the draft breaks a rule.
            DuplicateDefinition: another namespace has the name.
        """
        fields = _checked_fields(draft)
        with self._locked(namespace, caller) as locked:
            owner = draft.owner if draft.owner is not None else locked.namespace.owner
            locked.update(draft.name, {**fields, "owner": owner})
            return LockedNamespace(locked.connection, namespace.id).namespace

    @retry_on_conflict
    def delete(self, namespace: Namespace, caller: Caller) -> None:
        """Delete a namespace with all its definitions; raises Protected."""
        with self._locked(namespace, caller, removes=True) as locked:
            locked.delete()

    def find(self, namespace: Namespace, kind: Kind, name: str) -> Definition:
        """Return the definition with this name; raises NotFound."""
        found = self.definitions.find(namespace, kind, name) if is_name(name) else None
        if found is None:
            raise NotFound(_missing(kind, name))
        return found

    def find_property(self, namespace: Namespace, name: str, resource_type: str | None) -> Definition:
        """Return a property; raises NotFound. If `resource_type` is given, `name` begins with its prefix."""
        if resource_type is not None:
            prefix = prefix_for(self.listed(namespace, Kind.ASSOCIATION), resource_type)
            if not name.startswith(prefix):
                raise NotFound(_missing(Kind.PROPERTY, name))
            name = name.removeprefix(prefix)
        return self.find(namespace, Kind.PROPERTY, name)

    def listed(self, namespace: Namespace, *kinds: Kind) -> list[Definition]:
        """Return a namespace's definitions, sorted by name; only those of `kinds` if any are given."""
        return self.definitions.contents([namespace], *kinds)[namespace.id]

    @retry_on_conflict
    def add(self, namespace: Namespace, draft: DefinitionDraft, caller: Caller) -> Definition:
        """Add a definition, and return it. An association also creates its resource type if it is new.

        Raises:
            InvalidRequest, RequestTooLarge: the draft breaks a rule.
            DuplicateDefinition: another definition of the kind has the name.
        """
        _check_definitions([draft])
        self._start_resource_types([draft], caller)
        with self._locked(namespace, caller) as locked:
            _add(locked, [draft])
        return self.find(namespace, draft.kind, draft.name)

    @retry_on_conflict
    def replace(self, namespace: Namespace, old: str, draft: DefinitionDraft, caller: Caller) -> Definition:
        """Replace the definition called `old`, and return the new one.

        Raises:
            NotFound: there is no definition with the name `old`.
            InvalidRequest, RequestTooLarge, DuplicateDefinition: for the same reasons as in `add`.
        """
        _check_definitions([draft])
        with self._locked(namespace, caller) as locked:
            others = [one for one in locked.contents() if (one.kind, one.name) != (draft.kind, old)]
            _check_size([*others, draft])
            if not locked.change(draft.kind, old, draft.name, draft.body):
                raise NotFound(_missing(draft.kind, old))
        return self.find(namespace, draft.kind, draft.name)

    @retry_on_conflict
    def remove(self, namespace: Namespace, kind: Kind, name: str, caller: Caller) -> None:
        """Remove a definition; raises Protected, and NotFound if there is none with this name."""
        with self._locked(namespace, caller, removes=True) as locked:
            if not locked.remove(kind, [name]):
                raise NotFound(_missing(kind, name))

    @retry_on_conflict
    def clear(self, namespace: Namespace, kind: Kind, caller: Caller) -> None:
        """Remove all definitions of a kind; raises Protected."""
        with self._locked(namespace, caller, removes=True) as locked:
            locked.remove(kind)

    @retry_on_conflict
    def tag(self, namespace: Namespace, names: Sequence[str], caller: Caller, *, keep: bool) -> None:
        """Add tags, and remove all others first unless `keep` is true.

        Raises:
            Protected: the namespace is protected, and a tag would be removed.
            Conflict: two of the names are equal.
            InvalidRequest, RequestTooLarge, DuplicateDefinition: for the same reasons as in `add`.
        """
        drafts = [DefinitionDraft(Kind.TAG, name) for name in names]
        _check_definitions(drafts)
        with self._locked(namespace, caller) as locked:
            if not keep and locked.remove(Kind.TAG):
                _require_unprotected(locked.namespace)
            _add(locked, drafts)

    def _start_resource_types(self, drafts: Iterable[DefinitionDraft], caller: Caller) -> None:
        """Insert the resource types that are new, in a separate unit.

        Raises:
            RequestTooLarge: there would be more resource types than the limit allows.
            LockConflict: another process is inserting one of them.
        """
        require(caller, DEFINE, GRANTS)
        wanted = {draft.name for draft in drafts if draft.kind is Kind.ASSOCIATION}
        known = {one.name for one in self.definitions.resource_types()} if wanted else set()
        if new := sorted(wanted - known):
            if len(known) + len(new) > ITEMS_MAX:
                raise RequestTooLarge(f"There are at most {ITEMS_MAX} resource types: use an existing one.")
            with self._database.unit() as unit:
                add_resource_types(unit.connection, new)


def prefix_for(associations: Iterable[Definition], resource_type: str) -> str:
    """Return the prefix of property names on a resource type; "" if the associations define none."""
    prefixes = (one.body.get("prefix") for one in associations if one.name == resource_type)
    return next(prefixes, None) or ""


def _checked_fields(draft: NamespaceDraft) -> dict[str, Any]:
    check_name("namespace", draft.name, SHORT_MAX)
    if draft.visibility not in (Visibility.PUBLIC, Visibility.PRIVATE):
        raise InvalidRequest(not_one_of("Invalid visibility", draft.visibility, ("public", "private")))
    if draft.owner is not None:
        check_project(draft.owner)
    for name, most in _FIELD_LENGTHS.items():
        text = getattr(draft, name) or ""
        _check_texts(name, text)
        if len(text) > most:
            raise InvalidRequest(f"Invalid {name}: at most {most} characters are allowed.")
    return {name: getattr(draft, name) for name in ("visibility", "protected", *_FIELD_LENGTHS)}


def is_name(name: str, most: int = NAME_MAX) -> bool:
    """Return whether this is a valid name, one that can be a segment of a path."""
    pathless = _NO_NAME.search(name) or name in (".", "..") or name.startswith("@@")
    return 0 < len(name) <= most and not pathless


def check_name(what: str, name: str, most: int) -> None:
    """Check that this is a valid name; raises InvalidRequest."""
    if not is_name(name, most):
        raise InvalidRequest(
            f"Invalid {what}: a name has 1 to {most} characters without slashes and control characters. "
            "It is not '.' or '..' and does not begin with '@@'."
        )


def _check_definitions(drafts: Sequence[DefinitionDraft]) -> None:
    for draft in drafts:
        check_name(draft.kind, draft.name, _NAME_LENGTHS.get(draft.kind, NAME_MAX))
        _check_texts(draft.kind, draft.body)
    if len({(draft.kind, draft.name) for draft in drafts}) < len(drafts):
        raise Conflict("Two of the definitions have the same name.")


def _check_texts(what: str, value: Any) -> None:
    """Check that no text in a JSON value has control characters; raises InvalidRequest."""
    if isinstance(value, str):
        if not value.isprintable() and _NO_TEXT.search(value):  # isprintable is the faster test
            raise InvalidRequest(f"Invalid {what}: control characters are not allowed.")
    elif isinstance(value, Mapping):
        _check_texts(what, [*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            _check_texts(what, item)


def _add(locked: LockedNamespace, drafts: Sequence[DefinitionDraft]) -> None:
    """Add checked definitions to a namespace; raises RequestTooLarge."""
    _check_size([*locked.contents(), *drafts])
    for kind in Kind:
        locked.add(kind, {draft.name: draft.body for draft in drafts if draft.kind is kind})


def _check_size(contents: Sequence[Definition | DefinitionDraft]) -> None:
    """Check that a namespace may have all these definitions; raises RequestTooLarge."""
    for kind in Kind:
        if sum(one.kind is kind for one in contents) > ITEMS_MAX:
            raise RequestTooLarge(f"A namespace can have at most {ITEMS_MAX} definitions of the kind {kind}.")
    if sum(len(one.name.encode()) + len(json.dumps(one.body)) for one in contents) > BYTES_MAX:
        raise RequestTooLarge(f"The definitions of a namespace can have at most {BYTES_MAX} bytes together.")


def _require_unprotected(namespace: Namespace) -> None:
    if namespace.protected:
        raise Protected(
            f"Namespace {namespace.name} is protected. Set protected to false before you delete it or its "
            "definitions."
        )


def _missing(kind: Kind, name: str) -> str:
    return f"There is no {kind} with the name {name[:NAME_MAX]}."
