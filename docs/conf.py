"""The configuration of Sphinx. The documentation is Markdown, which myst-parser reads."""

project = "Calotype"
author = "The Calotype authors"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Machine images, in stores that are plugins"}
html_show_copyright = False
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
# The lexer does not know the ini files of PasteDeploy, whose section names contain colons.
suppress_warnings = ["misc.highlighting_failure"]
