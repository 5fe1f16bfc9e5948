"""Mutants that tests must notice: each removes one guard of the service.

`mutants.toml` lists them: the change, its file, and the test that must fail. `make mutants` makes
each change in a copy of the project and runs its test there. mutmut and cosmic-ray change any line in random
ways; this list is chosen, because it judges whether a given test proves a given row of docs/security.md.
"""
