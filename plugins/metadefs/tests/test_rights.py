"""The rights over metadata definitions: the table, and the check of each verb in its unit of work."""

from __future__ import annotations

import datetime
import inspect
import itertools
from dataclasses import replace

import pytest

from calotype.model import policy
from calotype.model.errors import CallerExpired, NotAllowed
from calotype.model.images import Visibility
from calotype.model.policy import Caller, may
from calotype_metadefs.database import Kind, Namespace
from calotype_metadefs.rights import DEFINE, GRANTS, namespace_grants
from calotype_metadefs.verbs import DefinitionDraft, Metadefs, NamespaceDraft
from tests.support.rights import CALLERS, OWNER
from tests.support.workbench import Bench

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
PERMISSIONS = (
    *(policy.VIEW, policy.DOWNLOAD, policy.UPDATE, policy.UPLOAD, policy.DELETE, policy.SHARE),
    *(policy.ANSWER, policy.DEACTIVATE, policy.LIST, policy.CREATE, policy.OPERATE, DEFINE),
)
ADMIN, READER = CALLERS["admin"], CALLERS["owner's reader"]


def expected(who: str, permission: str, visibility: Visibility) -> bool:
    """Return the documented right over a namespace of the project OWNER."""
    if who == "admin":
        return True
    return permission == policy.VIEW and (visibility is Visibility.PUBLIC or who.startswith("owner"))


def test_g_41_every_cell_of_the_table_of_rights_to_namespaces_is_as_documented() -> None:
    for visibility in (Visibility.PUBLIC, Visibility.PRIVATE):
        grants = namespace_grants(Namespace(1, "NS", visibility, False, OWNER, NOW, NOW))
        for who, permission in itertools.product(CALLERS, PERMISSIONS):
            wanted = permission in (policy.VIEW, DEFINE) and expected(who, permission, visibility)
            assert may(CALLERS[who], permission, grants) is wanted, (who, permission, visibility)


def test_only_administrators_may_define() -> None:
    assert {who for who in CALLERS if may(CALLERS[who], DEFINE, GRANTS)} == {"admin"}


def test_only_an_admin_may_view_a_private_namespace_without_an_owner() -> None:
    grants = namespace_grants(Namespace(1, "NS", Visibility.PRIVATE, False, None, NOW, NOW))
    assert {who for who in CALLERS if may(CALLERS[who], policy.VIEW, grants)} == {"admin"}


#: The arguments of every verb that changes something, between the namespace and the caller.
VERBS: dict[str, tuple[object, ...]] = {
    "create": (NamespaceDraft("new", contents=(DefinitionDraft(Kind.ASSOCIATION, "new"),)),),
    "update": (NamespaceDraft("NS"),),
    "delete": (),
    "add": (DefinitionDraft(Kind.ASSOCIATION, "new"),),
    "replace": ("old", DefinitionDraft(Kind.TAG, "new")),
    "remove": (Kind.TAG, "old"),
    "clear": (Kind.TAG,),
    "tag": (["new"],),
}


def test_every_verb_that_takes_a_caller_is_in_the_table() -> None:
    """r1-C2: if a new verb has no row here, this test fails."""
    found = inspect.getmembers(Metadefs, inspect.isfunction)
    taking = {name for name, verb in found if "caller" in inspect.signature(verb).parameters}
    assert {name for name in taking if not name.startswith("_")} == VERBS.keys()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("caller", "error"), [(READER, NotAllowed), (replace(ADMIN, expires=LONG_AGO), CallerExpired)]
)
def test_every_verb_checks_rights_again_in_its_unit(
    verb: str, caller: Caller, error: type[Exception], bench: Bench
) -> None:
    """r1-C2: a caller that has lost its role or token creates and changes no definition."""
    metadefs = Metadefs(bench.database)
    draft = NamespaceDraft("NS", contents=(DefinitionDraft(Kind.TAG, "old"),))
    namespace = metadefs.create(draft, ADMIN)
    before = metadefs.definitions.contents([namespace])
    given = VERBS[verb] if verb == "create" else (namespace, *VERBS[verb])
    with pytest.raises(error):
        getattr(metadefs, verb)(*given, caller, **({"keep": True} if verb == "tag" else {}))
    assert metadefs.definitions.contents([namespace]) == before
    assert metadefs.definitions.namespace("new") is None
