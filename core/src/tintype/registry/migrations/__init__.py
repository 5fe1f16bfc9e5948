"""The migrations. `NEWEST` is the last one: what this version of Tintype needs."""

NEWEST = "0005"
