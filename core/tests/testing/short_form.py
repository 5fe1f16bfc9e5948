"""Every third sabotaged driver runs in `make test`, and all of them in `make campaigns`."""

from collections.abc import Sequence

import pytest

_STEP = 3


def in_short_form(rows: Sequence[tuple[str, ...]], driver: int) -> list:
    """Return the rows as parameters; only every third is no campaign. `driver` is the column of the name."""
    marks = {True: (), False: (pytest.mark.campaign,)}
    return [
        pytest.param(*row, id=row[driver], marks=marks[number % _STEP == 0])
        for number, row in enumerate(rows)
    ]


def selected_drivers(request: pytest.FixtureRequest) -> set[str]:
    """Return the drivers of the tests in this module that are selected to run."""
    items = (item for item in request.session.items if getattr(item, "module", None) is request.module)
    return {item.callspec.params.get("driver") for item in items if hasattr(item, "callspec")}
