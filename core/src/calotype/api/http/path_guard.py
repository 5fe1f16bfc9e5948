"""One thing, one path: other spellings that traversal would follow lead nowhere.

Traversal passes over empty segments, climbs up at `..`, finds views behind `@@` and
hands a view what is left of the path. A front proxy that guards a path would not see
that they mean the same.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.events import ContextFound
from pyramid.httpexceptions import HTTPNotFound


def refuse_other_spellings(event: ContextFound) -> None:
    """Answer 404 to a path with a rest, or with a segment that traversal treats in a way of its own.

    An empty last segment, a slash at the end, is allowed.
    """
    request = event.request
    *inner, last = request.path_info.removeprefix("/").split("/")
    odd = [segment for segment in (*inner, last or "-") if segment in ("", ".", "..") or segment[:2] == "@@"]
    if request.subpath or odd:
        raise HTTPNotFound


def includeme(config: Configurator) -> None:
    """Look at each path when traversal is done, before a view is chosen."""
    config.add_subscriber(refuse_other_spellings, ContextFound)
