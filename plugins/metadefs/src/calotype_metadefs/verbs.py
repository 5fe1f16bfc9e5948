"""Metadata definitions: which keys and values people may find useful on images, flavors and volumes.

The service only keeps them, for dashboards and clients to show; nothing of an image is
held against them. Each verb that changes something judges the caller's right in its unit of
work. No HTTP here.

A namespace holds definitions of four kinds (`Kind`). While it is protected nothing is
removed from it, nor it itself. What may be in one is bounded: it is shown as a whole.
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
from calotype_metadefs.database import Definition, Definitions, DefinitionsUnit, Kind, Namespace
from calotype_metadefs.errors import DuplicateDefinition
from calotype_metadefs.rights import DEFINE, GRANTS

#: Characters of the name of a namespace, or of a resource type.
SHORT_MAX = 80
#: Characters of the name of anything else.
NAME_MAX = 255
DESCRIPTION_MAX = 500
#: Definitions of one kind in a namespace, and resource types that are known.
ITEMS_MAX = 1000
#: Bytes of all definitions in a namespace: as many as one document may have.
BYTES_MAX = 1 << 20

_NAME_LENGTHS = {Kind.ASSOCIATION: SHORT_MAX}
_FIELD_LENGTHS = {"display_name": SHORT_MAX, "description": DESCRIPTION_MAX}
# What no path can say, or what would travel into logs and terminals.
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/]")
# Texts may have lines.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DefinitionDraft:
    """What a client asks of a definition; `body` is JSON values."""

    kind: Kind
    name: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NamespaceDraft:
    """What a client asks of a namespace, whole; without an owner it is the caller's, or stays whose it is."""

    name: str
    display_name: str | None = None
    description: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    protected: bool = False
    owner: str | None = None
    contents: tuple[DefinitionDraft, ...] = ()


class Metadefs:
    """The verbs on metadata definitions, over one database; shared by all threads.

    `definitions` has the questions.
    """

    def __init__(self, database: Database):
        self._database = database
        self.definitions = Definitions(database.reading)

    @contextlib.contextmanager
    def _unit(self, *, frees: bool = False) -> Iterator[DefinitionsUnit]:
        with self._database.unit(frees=frees) as unit:
            yield DefinitionsUnit(unit.connection)

    @retry_on_conflict
    def create(self, draft: NamespaceDraft, caller: Caller) -> Namespace:
        """Make a namespace, with what stands in it.

        Raises:
            InvalidRequest, RequestTooLarge: the draft breaks a rule.
            Conflict: one of its definitions comes twice.
            DuplicateDefinition: there is a namespace of that name.
        """
        fields = _checked_fields(draft)
        _check_definitions(draft.contents)
        self._start_resource_types(draft.contents, caller)
        owner = draft.owner if draft.owner is not None else caller.project
        with self._unit() as unit:
            require(caller, DEFINE, GRANTS)
            namespace = unit.add_namespace(draft.name, {**fields, "owner": owner})
            _add(unit, namespace, draft.contents)
            return namespace

    @retry_on_conflict
    def update(self, namespace: Namespace, draft: NamespaceDraft, caller: Caller) -> Namespace:
        """Make a namespace what the draft says; what stands in it stays.

        Raises:
            InvalidRequest: the draft breaks a rule.
            DuplicateDefinition: there is another namespace of that name.
        """
        fields = _checked_fields(draft)
        with self._unit() as unit:
            before = _locked(unit, namespace, caller)
            owner = draft.owner if draft.owner is not None else before.owner
            unit.change_namespace(before.id, draft.name, {**fields, "owner": owner})
            return unit.lock(before.id)

    @retry_on_conflict
    def delete(self, namespace: Namespace, caller: Caller) -> None:
        """Remove a namespace with all that stands in it; raises Protected."""
        with self._unit(frees=True) as unit:
            _locked_to_remove(unit, namespace, caller)
            unit.remove_namespace(namespace.id)

    def find(self, namespace: Namespace, kind: Kind, name: str) -> Definition:
        """A definition; raises NotFound when there is none of that name."""
        found = self.definitions.find(namespace, kind, name) if is_name(name) else None
        if found is None:
            raise NotFound(_missing(kind, name))
        return found

    def find_property(self, namespace: Namespace, name: str, resource_type: str | None) -> Definition:
        """A property; by the name that it has on the resource type, which may begin with a prefix there."""
        if resource_type is not None:
            prefix = prefix_for(self.listed(namespace, Kind.ASSOCIATION), resource_type)
            if not name.startswith(prefix):
                raise NotFound(_missing(Kind.PROPERTY, name))
            name = name.removeprefix(prefix)
        return self.find(namespace, Kind.PROPERTY, name)

    def listed(self, namespace: Namespace, kind: Kind) -> list[Definition]:
        """All definitions of a kind, in the order of their names."""
        return self.definitions.contents([namespace], kind)[namespace.id]

    @retry_on_conflict
    def add(self, namespace: Namespace, draft: DefinitionDraft, caller: Caller) -> Definition:
        """Add a definition; a resource type comes into being when it is first associated.

        Raises:
            InvalidRequest, RequestTooLarge: it breaks a rule.
            DuplicateDefinition: there is one of that name.
        """
        _check_definitions([draft])
        self._start_resource_types([draft], caller)
        with self._unit() as unit:
            _add(unit, _locked(unit, namespace, caller), [draft])
        return self.find(namespace, draft.kind, draft.name)

    @retry_on_conflict
    def replace(self, namespace: Namespace, old: str, draft: DefinitionDraft, caller: Caller) -> Definition:
        """Put a definition in the place of the one whose name is `old`.

        Raises:
            NotFound: there is none.
            InvalidRequest, RequestTooLarge, DuplicateDefinition: as `add`.
        """
        _check_definitions([draft])
        with self._unit() as unit:
            _locked(unit, namespace, caller)
            others = [one for one in unit.contents(namespace.id) if (one.kind, one.name) != (draft.kind, old)]
            _check_room(others, [draft])
            if not unit.change(namespace.id, draft.kind, old, draft.name, draft.body):
                raise NotFound(_missing(draft.kind, old))
        return self.find(namespace, draft.kind, draft.name)

    @retry_on_conflict
    def remove(self, namespace: Namespace, kind: Kind, name: str, caller: Caller) -> None:
        """Remove a definition; raises Protected, and NotFound when there is none of that name."""
        with self._unit(frees=True) as unit:
            _locked_to_remove(unit, namespace, caller)
            if not unit.remove(namespace.id, kind, [name]):
                raise NotFound(_missing(kind, name))

    @retry_on_conflict
    def clear(self, namespace: Namespace, kind: Kind, caller: Caller) -> None:
        """Remove all definitions of a kind; raises Protected."""
        with self._unit(frees=True) as unit:
            _locked_to_remove(unit, namespace, caller)
            unit.remove(namespace.id, kind)

    @retry_on_conflict
    def tag(self, namespace: Namespace, names: Sequence[str], caller: Caller, *, keep: bool) -> None:
        """Add tags; the others go unless `keep`.

        Raises:
            Protected: others would go.
            Conflict: one comes twice. InvalidRequest, RequestTooLarge, DuplicateDefinition: as `add`.
        """
        drafts = [DefinitionDraft(Kind.TAG, name) for name in names]
        _check_definitions(drafts)
        with self._unit() as unit:
            now = _locked(unit, namespace, caller)
            if not keep and unit.remove(namespace.id, Kind.TAG) and now.protected:
                raise _protected(now)
            _add(unit, now, drafts)

    def _start_resource_types(self, drafts: Iterable[DefinitionDraft], caller: Caller) -> None:
        """See that the resource types are known, in a unit of their own.

        When somebody else was faster with one of them, each gets a unit of its own.
        """
        require(caller, DEFINE, GRANTS)
        wanted = {draft.name for draft in drafts if draft.kind is Kind.ASSOCIATION}
        if not wanted:
            return
        known = {one.name for one in self.definitions.resource_types()}
        if len(known | wanted) > max(ITEMS_MAX, len(known)):
            raise RequestTooLarge(f"There are at most {ITEMS_MAX} resource types.")
        new = sorted(wanted - known)
        try:
            self._add_resource_types(new)
        except DuplicateDefinition:
            for name in new:
                with contextlib.suppress(DuplicateDefinition):
                    self._add_resource_types([name])

    def _add_resource_types(self, names: Sequence[str]) -> None:
        if names:
            with self._unit() as unit:
                unit.add_resource_types(names)


def prefix_for(associations: Iterable[Definition], resource_type: str) -> str:
    """What the names of properties begin with on a resource type; nothing unless the namespace says so."""
    for association in associations:
        if association.name == resource_type:
            return association.body.get("prefix") or ""
    return ""


def _checked_fields(draft: NamespaceDraft) -> dict[str, Any]:
    check_name("namespace", draft.name, SHORT_MAX)
    if draft.visibility not in (Visibility.PUBLIC, Visibility.PRIVATE):
        raise InvalidRequest(not_one_of("Invalid visibility", draft.visibility, ("public", "private")))
    if draft.owner is not None:
        check_project(draft.owner)
    for name, most in _FIELD_LENGTHS.items():
        text = getattr(draft, name)
        if text is not None:
            _check_text(name, text)
            if len(text) > most:
                raise InvalidRequest(f"Invalid {name}: at most {most} characters are allowed.")
    return {
        "display_name": draft.display_name,
        "description": draft.description,
        "visibility": draft.visibility,
        "protected": draft.protected,
    }


def is_name(name: str, most: int = NAME_MAX) -> bool:
    """Whether something may be called that; what has a name has a path."""
    pathless = _NO_NAME.search(name) or name in (".", "..") or name.startswith("@@")
    return 0 < len(name) <= most and not pathless


def check_name(what: str, name: str, most: int) -> None:
    """Return if something may be called that; raises InvalidRequest."""
    if not is_name(name, most):
        raise InvalidRequest(
            f"Invalid {what}: a name has 1 to {most} characters, no slash and no control character, "
            "and is nothing that means something else in a path."
        )


def _check_definitions(drafts: Sequence[DefinitionDraft]) -> None:
    for draft in drafts:
        check_name(draft.kind, draft.name, _NAME_LENGTHS.get(draft.kind, NAME_MAX))
        _check_texts(draft.kind, draft.body)
    if len({(draft.kind, draft.name) for draft in drafts}) < len(drafts):
        raise Conflict("One of the names comes twice.")


def _check_texts(what: str, value: Any) -> None:
    if isinstance(value, str):
        _check_text(what, value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _check_text(what, name)
            _check_texts(what, item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(what, item)


def _check_text(what: str, text: str) -> None:
    if not text.isprintable() and _NO_TEXT.search(text):  # most texts are, and a namespace has thousands
        raise InvalidRequest(f"Invalid {what}: control characters are not allowed.")


def _add(unit: DefinitionsUnit, namespace: Namespace, drafts: Sequence[DefinitionDraft]) -> None:
    """Add what has been checked to a namespace that is locked."""
    _check_room(unit.contents(namespace.id), drafts)
    for kind in Kind:
        bodies = {draft.name: draft.body for draft in drafts if draft.kind is kind}
        unit.add(namespace.id, kind, bodies)


def _check_room(there: Sequence[Definition], more: Sequence[DefinitionDraft]) -> None:
    together = [(one.kind, one.name, one.body) for one in there]
    together += [(one.kind, one.name, one.body) for one in more]
    for kind in Kind:
        if sum(one[0] is kind for one in together) > ITEMS_MAX:
            raise RequestTooLarge(f"A namespace has at most {ITEMS_MAX} definitions of the kind {kind}.")
    size = sum(len(name.encode()) + len(json.dumps(body)) for _, name, body in together)
    if size > BYTES_MAX:
        raise RequestTooLarge(f"The definitions of a namespace have at most {BYTES_MAX} bytes together.")


def _locked(unit: DefinitionsUnit, namespace: Namespace, caller: Caller) -> Namespace:
    """The namespace as the unit sees it; to define is an admin's right, whatever the namespace is."""
    require(caller, DEFINE, GRANTS)
    return unit.lock(namespace.id)


def _locked_to_remove(unit: DefinitionsUnit, namespace: Namespace, caller: Caller) -> None:
    now = _locked(unit, namespace, caller)
    if now.protected:
        raise _protected(now)


def _protected(namespace: Namespace) -> Protected:
    return Protected(f"Namespace {namespace.name} is protected: nothing of it can be deleted.")


def _missing(kind: Kind, name: str) -> str:
    return f"There is no {kind} of the name {name[:NAME_MAX]}."
