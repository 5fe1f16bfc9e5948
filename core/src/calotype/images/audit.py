"""The audit trail of images: describe changes of metadata, and remove old records."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.model.fields import ImageFields

#: The fields whose new values are recorded. Only the names of all other fields are recorded.
_WITH_VALUE = ("visibility", "owner", "protected", "os_hidden")
#: Maximum number of records that one unit of work removes.
_BATCH = 1000


def describe(draft: ImageFields, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a text that lists the fields and tags that a draft sets, and the properties that change."""
    fields = (f"{name}={value}" if name in _WITH_VALUE else name for name, value in draft.fields.items())
    properties = (f"property {name}" for name, value in after.items() if before.get(name) != value)
    dropped = (f"without property {name}" for name in before if name not in after)
    return ", ".join([*fields, *properties, *dropped, *(["tags"] if draft.tags is not None else [])])


@retry_on_conflict
def forget_old(database: Database, seconds: float) -> bool:
    """Remove a batch of records older than `seconds`, and return whether there may be more."""
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    old = database.audit.older_than(moment, _BATCH)
    if old:
        with database.unit(frees=True) as unit:
            unit.forget_audit(old)
    return len(old) == _BATCH
