"""The conformance kit itself: each defect of a driver fails a case, and each known gap is reported."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import calotype.testing

pytest_plugins = ["pytester"]

SABOTAGED = Path(__file__).with_name("sabotaged.py")
#: How the inner runs are kept apart from the outer one.
ISOLATED = (
    "--import-mode=importlib",
    "--noconftest",
    "--rootdir=.",
    "-c",
    os.devnull,
    "-W",
    "error",
    "-W",
    "ignore::pytest.PytestConfigWarning",  # which is what python -O gets
    "-p",
    "no:cacheprovider",
)
#: Driver -> the case that must catch it.
CAUGHT_BY = {
    "KeepsTheHalfItGot": "test_a_source_that_breaks_leaves_nothing",
    "CleansUpOnlyAfterExceptions": "test_an_interrupted_upload_leaves_nothing",
    "ForgetsItsAttempts": "test_a_source_of_unknown_size_that_breaks_leaves_nothing",
    "ReadsOnce": "test_what_goes_in_comes_out",
    "StopsAtAShortRead": "test_what_goes_in_comes_out",
    "VouchesForOtherBytes": "test_the_receipt_is_true",
    "BelievesTheAnnouncedSize": "test_a_source_of_unknown_size_is_stored_whole",
    "NeedsASize": "test_a_source_of_unknown_size_is_stored_whole",
    "Overwrites": "test_a_taken_key_is_refused",
    "LooksBeforeItLeaps": "test_of_racing_adds_one_wins",
    "ShowsWhatIsNotWhole": "test_an_upload_is_not_seen_before_it_is_whole",
    "SharesABuffer": "test_parallel_uploads_do_not_mix",
    "TakesSourceErrorsForItsOwn": "test_a_source_that_breaks_leaves_nothing",
    "LocatesElsewhere": "test_locate_tells_where_add_will_put_it",
    "LocatesForItselfOnly": "test_locate_tells_where_add_will_put_it",
    "SaysMissingTooLate": "test_a_missing_blob_is_reported_at_once",
    "ForgetsItsName": "test_a_missing_blob_is_reported_at_once",
    "NeverEnds": "test_a_blob_is_read_whole",
    "GivesMoreThanAsked": "test_a_reader_gives_no_more_than_asked",
    "IgnoresTheOffset": "test_a_driver_with_ranges_begins_at_the_offset",
    "IsOffByOne": "test_a_range_holds_the_right_bytes",
    "SharesItsReader": "test_readers_are_independent",
    "RunsOutOfReaders": "test_abandoned_readers_block_nothing",
    "FailsAtASecondClose": "test_close_is_called_twice",
    "LeavesAThread": "test_close_ends_the_threads",
    "DeletesNothing": "test_a_deleted_blob_is_gone",
    "DeletesInSilence": "test_a_second_delete_finds_nothing",
    "DeletesByPrefix": "test_a_delete_spares_the_neighbours",
    "DiscardsByPrefix": "test_a_discard_spares_the_neighbours",
    "CannotDiscardTheUnknown": "test_discard_of_an_unknown_key_is_no_error",
    "TrimsLocations": "test_a_hostile_location_is_refused",
    "ReadsAnyLocation": "test_a_hostile_location_is_refused",
    "FailsOddly": "test_a_missing_blob_is_reported_at_once",
    "ListsWithoutDates": "test_the_listing_dates_are_aware_and_true",
    "ListsHalf": "test_the_listing_holds_what_was_added",
    "ListsWrongSizes": "test_the_listing_holds_what_was_added",
    "PromisesUrlsAndHasNone": "test_a_direct_url_gives_the_bytes",
    "ReadsAChangedSource": "test_a_changed_source_is_never_read_as_the_old_one",
    "RegistersWhatIsNotThere": "test_what_is_not_there_is_not_registered",
    "KeepsItsBlobsToItself": "test_a_second_instance_reads_what_the_first_wrote",
    "WipesAtCreate": "test_create_is_idempotent_and_keeps_what_is_there",
    "TellsItsSecret": "test_no_secret_is_shown",
    "LogsItsSecretInErrors": "test_no_secret_is_in_an_error",
    "PutsItsSecretIntoLocations": "test_the_location_holds_no_secret",
    "TakesAnyOption": "test_an_unknown_option_is_refused",
}


@pytest.fixture
def run(pytester):
    """Run pytest in this process, on its own; returns its result."""

    def run(*arguments):
        return pytester.runpytest_inprocess(*ISOLATED, *arguments)

    return run


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """The cases that failed: "TestDRIVER::CASE", from one run of all that must fail."""
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    cases = [f"{SABOTAGED}::Test{driver}::{case}" for driver, case in CAUGHT_BY.items()]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", f"--junit-xml={report}"]
    subprocess.run([*command, *ISOLATED, *cases], cwd=report.parent, capture_output=True)
    found = ElementTree.parse(report).iter("testcase")
    return {
        f"{case.get('classname').rpartition('.')[2]}::{case.get('name').partition('[')[0]}"
        for case in found
        if case.find("failure") is not None
    }


@pytest.mark.parametrize("driver", CAUGHT_BY)
def test_a_broken_driver_fails_the_case_that_is_named_for_its_defect(failures, driver):
    assert f"Test{driver}::{CAUGHT_BY[driver]}" in failures


def test_every_broken_driver_has_a_case_that_must_fail():
    source = SABOTAGED.read_text()

    assert set(re.findall(r"^class (\w+)\(Sabotage\b", source, re.MULTILINE)) == set(CAUGHT_BY)


def test_the_cases_for_broken_drivers_pass_for_a_correct_driver(run):
    cases = sorted({*CAUGHT_BY.values()} - {"test_a_direct_url_gives_the_bytes"})  # MemoryStore has none
    outcomes = run(
        f"{SABOTAGED}::KitOfMemory", "-o", "python_classes=KitOf*", "-k", " or ".join(cases)
    ).parseoutcomes()

    assert {kind for kind in outcomes if outcomes[kind]} <= {"passed", "deselected"}
    assert outcomes["passed"] >= len(cases)


def test_the_kit_closes_each_driver_that_it_opens(pytester, run):
    pytester.makepyfile(
        test_counted="""
        import pytest
        from calotype.testing import MemoryStore, StoreConformance

        OPEN = set()

        class Counted(MemoryStore):
            def __init__(self, name, options):
                super().__init__(name, options)
                OPEN.add(self)

            def close(self):
                OPEN.discard(self)

        class TestCounted(StoreConformance):
            survives_processes = False

            @pytest.fixture
            def store(self):
                return Counted("memory", Counted.Options())

        def test_all_instances_are_closed():
            assert OPEN == set()
    """
    )
    cases = "(instance or locate or copy or discarded or overtakes) and not (registered or opened)"
    outcomes = run("-k", cases).parseoutcomes()

    assert {kind for kind in outcomes if outcomes[kind]} <= {"passed", "skipped", "deselected"}
    assert outcomes["passed"] > 20


GAPS = """
    import pytest
    from calotype.testing import MemoryStore, StoreConformance

    class TestGaps(StoreConformance):
        known_gaps = {known_gaps}

        @pytest.fixture
        def store(self):
            return MemoryStore("memory", MemoryStore.Options())
"""


@pytest.mark.parametrize(
    ("known_gaps", "expected"),
    [
        ({"test_a_large_blob_is_never_whole_in_memory": "it is memory"}, {"xfailed": 1}),
        ({"test_a_large_blob_is_never_whole_in_memory": "it is memory", "test_typo": "x"}, {"errors": 1}),
        ({}, {"failed": 1}),
    ],
    ids=["a-gap-is-expected-to-fail", "a-gap-must-be-a-test", "without-it-the-case-fails"],
)
def test_a_known_gap_is_an_expected_failure(pytester, run, known_gaps, expected):
    pytester.makepyfile(GAPS.replace("{known_gaps}", repr(known_gaps)))

    assert run("-k", "whole_in_memory").parseoutcomes().items() >= expected.items()


def test_a_gap_that_has_closed_is_a_failure(pytester, run):
    pytester.makepyfile(GAPS.replace("{known_gaps}", "{'test_close_is_called_twice': 'it cannot'}"))

    assert run("-k", "close_is_called_twice").parseoutcomes()["failed"] == 1


def test_a_class_without_the_fixture_store_names_it(pytester, run):
    pytester.makepyfile("""
        from calotype.testing import StoreConformance

        class TestNothing(StoreConformance):
            pass
    """)
    result = run("-k", "close_is_called_twice")

    result.stdout.fnmatch_lines(["*define a fixture `store` that returns the driver*"])


def test_a_skip_names_the_missing_ability(pytester, run):
    pytester.makepyfile(GAPS.replace("{known_gaps}", "{}"))
    result = run("-k", "direct_url_gives", "-rs")

    result.stdout.fnmatch_lines(["*MemoryStore is no DirectUrl*"])


def test_a_failing_case_shows_the_values(pytester, run):
    result = run(f"{SABOTAGED}::TestListsWrongSizes::test_the_listing_holds_what_was_added")

    result.stdout.fnmatch_lines(["*Differing items*"])


def test_every_public_name_exists():
    assert [name for name in calotype.testing.__all__ if not hasattr(calotype.testing, name)] == []
    assert set(calotype.testing.__all__) <= set(dir(calotype.testing))
    with pytest.raises(AttributeError):
        calotype.testing.nonsense  # noqa: B018
