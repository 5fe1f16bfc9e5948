"""The tables: rows become records by the order of their columns, and words become members of enumerations."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from calotype.database.identity import Identity
from calotype.database.processes import ServingProcess
from calotype.database.tables import FindingRow, IdentityRow, ProcessRow
from calotype.model.fields import new_id
from calotype.model.findings import Finding
from tests.support.workbench import Bench


@pytest.mark.parametrize(
    ("record", "row"), [(Finding, FindingRow), (ServingProcess, ProcessRow), (Identity, IdentityRow)]
)
def test_the_fields_of_a_record_are_the_columns_of_its_table_in_their_order(record, row) -> None:
    columns = [column.name for column in row.__table__.c]
    assert [field.name for field in dataclasses.fields(record)] == columns


def test_a_word_that_its_enumeration_lacks_is_an_error(bench: Bench) -> None:
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {}, {})
    with contextlib.closing(bench.raw()) as raw:
        raw.execute("UPDATE images SET status = 'unheard of'")

    with pytest.raises(ValueError, match="'unheard of' is not a valid Status"):
        bench.database.find(image_id)
