"""The kit's cases for writing, for a process's resources and for secrets: each mistake fails its case."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from core.tests.testing import test_kit
from core.tests.testing.sabotage.distant import KitOfDistant
from core.tests.testing.sabotage.folders import KitOfFolders
from core.tests.testing.short_form import in_short_form, selected_drivers

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
#: How the inner run is kept apart from the outer one.
ISOLATED = (
    *test_kit.ISOLATED,
    "-W",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",  # of threads that a sabotaged driver began
)
ZEROS = "test_zeros_are_bytes"
TWO_KEYS = "test_keys_that_differ_in_their_last_character_are_two"
OVERTAKEN = "test_an_add_that_another_overtakes_harms_nothing[at-its-end]"
KILLED = "test_a_killed_upload_is_no_blob[after-the-last-byte-announced]"
DISCARDED = "test_an_upload_that_is_discarded_while_it_runs_is_whole_or_fails"
REMAINS = "test_the_remains_of_a_killed_upload_are_found_and_removed[in-the-middle-announced]"
RUNNING = "test_a_running_upload_is_an_attempt_under_its_key"
FULL = "test_a_full_store_says_so_and_keeps_nothing[announced]"
LARGE = "test_a_large_blob_is_whole_and_right_at_its_offsets[announced]"
HUGE = "test_a_blob_of_more_than_4_gib_is_right_at_its_offsets"
FILLING = "test_a_large_blob_never_fills_the_process[announced]"
SLOW = "test_a_slow_upload_stops_no_other_call"
CROWD = "test_as_many_transfers_run_at_a_time_as_the_core_allows"
READING = "test_reading_leaks_nothing"
CLOSING = "test_closing_leaks_nothing"
LOCATION = "test_the_location_holds_no_path_and_no_option"
ERRORS = "test_an_error_names_no_path_and_no_option"
WRITE_ERRORS = "test_an_error_of_writing_names_no_path_and_no_option"
NAMED_SECRET = "test_an_option_that_is_named_like_a_secret_is_one"
NO_IO = "test_a_new_driver_does_no_io"
EMPTIED = "test_a_full_store_is_read_listed_and_emptied"
SILENT = "test_each_call_ends_although_the_backend_never_answers"
BROKEN_UPLOAD = "test_an_upload_whose_connection_breaks_is_whole_or_fails[request-announced]"
BROKEN_DOWNLOAD = "test_a_download_whose_connection_breaks_is_whole_or_fails"
#: Module of sabotaged drivers -> driver -> the case that must catch it.
CAUGHT_BY = {
    "room": {
        "NeedsRoomToRead": EMPTIED,
        "NeedsRoomToMeasure": EMPTIED,
        "NeedsRoomToList": EMPTIED,
        "NeedsRoomToDelete": EMPTIED,
        "NeedsRoomToDiscard": EMPTIED,
        "TakesTooLargeForFull": "test_a_blob_that_can_never_fit_is_too_large",
    },
    "memory": {
        "HasALargeBufferForEachReader": "test_parallel_downloads_together_never_fill_the_process",
        "MapsARangeFromItsStart": "test_a_range_does_not_read_from_the_start",
    },
    "network": {
        "HasNoTimeLimit": SILENT,
        "TriesForMinutes": SILENT,
        "TakesSilenceForMissing": SILENT,
        "ShowsTheErrorOfTheSocket": SILENT,
        "SendsTheRestAgain": BROKEN_UPLOAD,
        "TakesABreakForTheEnd": f"{BROKEN_DOWNLOAD}[closed]",
        "TakesAResetForTheEnd": f"{BROKEN_DOWNLOAD}[reset]",
    },
    "writing": {
        "FailsOddlyIfItIsDiscarded": DISCARDED,
        "ReportsADiscardedUploadAsStored": DISCARDED,
        "LosesTrailingZeros": f"{ZEROS}[large-reads-at-the-end]",
        "LosesLeadingZeros": f"{ZEROS}[large-reads-at-the-start]",
        "LosesInnerZeros": f"{ZEROS}[large-reads-in-the-middle]",
        "LosesABlobOfZeros": f"{ZEROS}[small-reads-everywhere]",
        "TakesAZeroForTheEnd": f"{ZEROS}[small-reads-the-last-byte]",
        "ReturnsBeforeItIsThere": "test_an_added_blob_is_there_for_a_second_instance_at_once",
        "ReturnsBeforeItIsOnDisk": "test_an_added_blob_outlives_a_process_that_is_killed_at_once",
        "CutsKeysAt40": TWO_KEYS,
        "CutsKeysAt128": TWO_KEYS,
        "RenamesOverTheWinner": OVERTAKEN,
        "LooksBeforeItRenames": "test_of_adds_that_race_at_their_end_one_wins",
        "RemovesTheWinner": OVERTAKEN,
        "ReportsThatItHasWon": OVERTAKEN,
        "RaisesTheErrorOfTheLink": OVERTAKEN,
        "KeepsItsPartWhenItLoses": OVERTAKEN,
        "HidesItsParts": REMAINS,
        "DiscardsItsOwnPartsOnly": REMAINS,
        "DiscardsOnlyTheBlob": REMAINS,
        "ListsNoPartOfOthers": REMAINS,
        "WritesInPlace": KILLED,
        "WritesTheFirstBlockInPlace": KILLED,
        "ListsNoAttempts": RUNNING,
        "ListsAttemptsUnderTheirFiles": RUNNING,
        "DatesAttemptsNow": "test_an_attempt_is_dated_when_it_wrote",
        "ShowsTheErrorOfTheDisk": FULL,
        "TakesFullForUnavailable": FULL,
        "KeepsItsPartWhenItIsFull": FULL,
        "SendsOneRequest": "test_a_blob_larger_than_one_request_is_whole[announced]",
        "SendsOneRequestIfTheSizeIsKnown": LARGE,
        "CountsOffsetsIn24Bits": LARGE,
        "CountsOffsetsIn31Bits": HUGE,
        "CountsOffsetsIn32Bits": HUGE,
        "CountsBytesIn32Bits": HUGE,
        "ReportsSizesIn32Bits": HUGE,
    },
    "processes": {
        "BuffersInAMapping": FILLING,
        "MapsWhatItReads": FILLING,
        "HasOneLock": SLOW,
        "UploadsOneAtATime": SLOW,
        "ListsUnderTheLockOfUploads": SLOW,
        "HasEightConnections": CROWD,
        "HasEightConnectionsForUploads": CROWD,
        "ReadsThroughOneBuffer": "test_parallel_downloads_do_not_mix",
        "LeaksWhenItReads": READING,
        "LeaksAThreadWhenItReads": READING,
        "LeaksWhenNothingIsThere": "test_reading_what_is_missing_leaks_nothing",
        "LeaksWhenItAdds": "test_adding_leaks_nothing",
        "LeaksAThreadWhenItAdds": "test_adding_leaks_nothing",
        "LeaksWhenAnAddFails": "test_an_add_that_fails_leaks_nothing",
        "LeaksWhenAnAddIsRefused": "test_an_add_that_is_refused_leaks_nothing",
        "LeaksWhenItLists": "test_listing_leaks_nothing",
        "LeaksWhenItIsClosed": CLOSING,
        "LeavesItsThreadWhenItIsClosed": CLOSING,
        "HasAbsoluteLocations": LOCATION,
        "PutsAnOptionIntoLocations": LOCATION,
        "HashesItsKeys": "test_the_location_contains_the_key",
        "NamesPathsInErrors": ERRORS,
        "NamesOptionsInErrors": ERRORS,
        "NamesPathsWhenAKeyIsTaken": WRITE_ERRORS,
        "NamesPathsWhenItIsFull": WRITE_ERRORS,
        "HasAPlainPassword": NAMED_SECRET,
        "MayHaveAPlainToken": NAMED_SECRET,
        "ListsItsFolderAtOnce": NO_IO,
        "LooksForItsFolderAtOnce": NO_IO,
        "MakesItsFolderAtOnce": NO_IO,
        "OpensAFileAtOnce": NO_IO,
        "ConnectsAtOnce": NO_IO,
    },
}
MISTAKES = [(driver, case) for drivers in CAUGHT_BY.values() for driver, case in drivers.items()]


class TestFolderStore(KitOfFolders):
    """The driver that most others are made of passes the whole kit."""


class TestDistantStore(KitOfDistant):
    """The driver of a server passes the whole kit, too."""

    @classmethod
    def sizes(cls):
        return [0, 1, 70_001]


@pytest.fixture(scope="module")
def failures(request, tmp_path_factory):
    """The cases that failed: "TestDRIVER::CASE", from one run of all that are selected and must fail."""
    report, chosen = tmp_path_factory.mktemp("kit") / "report.xml", selected_drivers(request)
    cases = [
        f"{HERE}/sabotage/{module}.py::Test{driver}::{case}"
        for module, drivers in CAUGHT_BY.items()
        for driver, case in drivers.items()
        if driver in chosen
    ]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", f"--junit-xml={report}"]
    subprocess.run(
        [*command, *ISOLATED, *cases],
        cwd=report.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    return {
        f"{case.get('classname').rpartition('.')[2]}::{case.get('name')}"
        for case in ElementTree.parse(report).iter("testcase")
        if case.find("failure") is not None
    }


@pytest.mark.parametrize(("driver", "case"), in_short_form(MISTAKES, driver=0))
def test_a_mistake_fails_the_case_that_is_named_for_it(failures, driver, case):
    assert f"Test{driver}::{case}" in failures


@pytest.mark.parametrize("module", CAUGHT_BY)
def test_every_sabotaged_driver_has_a_case_that_must_fail(module):
    source = (HERE / "sabotage" / f"{module}.py").read_text()
    classes = {line.split()[1].partition("(")[0] for line in source.splitlines() if line.startswith("class ")}

    assert {name for name in classes if not name.startswith("_")} == set(CAUGHT_BY[module])
