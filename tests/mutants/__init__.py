"""Sabotage that tests must notice: for guards of the service, one way each to take the guard out.

`mutants.toml` lists them: what is changed in which file, and the test that must go red. `make mutants` makes
each change in a copy of the project and runs its test there. mutmut and cosmic-ray change any line in random
ways; this list is chosen, because it judges whether a given test proves a given row of docs/security.md.
"""
