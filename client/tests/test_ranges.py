"""Sets of ranges, compared with sets of single bytes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from calotype_client.transfers.ranges import Range, RangeSet

ENDS = st.tuples(st.integers(0, 40), st.integers(0, 40))


class RangeSets(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ranges = RangeSet()
        self.bytes: set[int] = set()

    @rule(ends=ENDS)
    def add(self, ends: tuple[int, int]) -> None:
        self.ranges.add(*ends)
        self.bytes |= set(range(*ends))

    @rule(ends=ENDS)
    def remove(self, ends: tuple[int, int]) -> None:
        self.ranges.remove(*ends)
        self.bytes -= set(range(*ends))

    @rule(most=st.integers(1, 10))
    def take(self, most: int) -> None:
        taken = self.ranges.take(most)
        if taken is None:
            assert not self.bytes
            return
        assert taken.start == min(self.bytes)
        assert 0 < taken.length <= most
        assert set(range(*taken)) <= self.bytes
        self.bytes -= set(range(*taken))

    @invariant()
    def same_bytes(self) -> None:
        listed = [*self.ranges]
        assert {byte for each in listed for byte in range(*each)} == self.bytes
        assert all(one.end < other.start for one, other in itertools.pairwise(listed))
        assert self.ranges.total == len(self.bytes)
        assert self.ranges.first == min(self.bytes, default=None)
        assert bool(self.ranges) == bool(self.bytes)


TestRangeSets = RangeSets.TestCase


@given(st.lists(ENDS))
def test_a_set_is_made_of_its_own_ranges(ends: list[tuple[int, int]]) -> None:
    ranges = RangeSet(ends)

    assert [*RangeSet(ranges)] == [*ranges]


def test_a_range_has_a_length() -> None:
    assert Range(3, 10).length == 7
