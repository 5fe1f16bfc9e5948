"""A web console below /console: pages for people, made from the same verbs and lists as the API.

`sessions` lets a browser send its token in a cookie, and `resources` adds the pages to the resource tree.
`views` has the pages, `forms` reads what they send, and `pages` renders them.
"""

from __future__ import annotations

from pyramid.config import Configurator

from calotype_console.assets import Assets
from calotype_console.pages import add_filters, error_page
from calotype_console.sessions import ForeignForm


def includeme(config: Configurator) -> None:
    """Add /console to the resource tree, and register the pages."""
    config.include("pyramid_jinja2")
    config.add_jinja2_renderer(".html")
    config.action(None, add_filters, args=(config,), order=1)
    config.registry[Assets.KEY] = Assets.load()
    config.include("calotype_console.sessions")
    config.include("calotype_console.resources")
    config.add_error_form("console", error_page, {ForeignForm: 403})
    config.include("calotype_console.views.session")
    config.scan("calotype_console.views")
