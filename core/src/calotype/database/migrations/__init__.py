"""The migrations. `NEWEST` is the last one: what this version of Calotype needs."""

NEWEST = "0010"
