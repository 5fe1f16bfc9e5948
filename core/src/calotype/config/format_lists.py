"""Lists of formats in settings, which select from the known formats or add to them."""

from __future__ import annotations

from calotype.config.messages import did_you_mean


def chosen_formats(value: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the formats that the value lists, or the known ones and those that it adds.

    Raises:
        ValueError: a listed format is not known, or an added one has no name.
    """
    listed = [name for name in value if not name.startswith("+")]
    added = [name[1:] for name in value if name.startswith("+")]
    for name in listed:
        if name not in known:
            raise ValueError(
                f"'{name}' is not a known format{did_you_mean(name, known)}: "
                f"write +{name} to add a format of your own"
            )
    if "" in added:
        raise ValueError("'+' names no format: write +NAME")
    return tuple(dict.fromkeys([*(known if added and not listed else listed), *added]))
