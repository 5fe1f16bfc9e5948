"""Mutants that tests must notice: each removes one guard of the service.

The files in `guards/` list them, one file for each part of the threat catalogue in docs/security.md. An entry
has an `id`, which begins with the rows that its `test` stands for, and one or more `edit`s: each replaces a
`text`, which occurs exactly once in its file. A line break directly after ''' is not part of the text.

`make mutants` makes each change in a copy of the project and runs its test there. mutmut and cosmic-ray
change any line in random ways; this list is chosen, because it judges whether a given test proves a given row
of docs/security.md.
"""
