"""Sphinx: the documentation is Markdown, read by myst-parser."""

project = "Calotype"
author = "The Calotype authors"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Machine images, in stores that are plugins"}
html_show_copyright = False
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
# PasteDeploy's own form of ini files, with colons in section names, is more than the lexer knows.
suppress_warnings = ["misc.highlighting_failure"]
