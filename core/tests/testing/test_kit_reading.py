"""The kit's cases for reading, listings, declarations, copies and hanging drivers: each defect is caught."""

import functools
import importlib
import signal
from types import SimpleNamespace

import pytest

from calotype.testing.harness import Harness
from calotype.testing.limits import TimeLimits
from core.tests.testing.sabotage_kits import FOLDER, failures_in, run_kit
from core.tests.testing.short_form import in_short_form, selected_drivers

AWAY_ERRORS = "test_an_error_names_no_path_and_no_option_while_the_place_is_away"
#: Module -> driver -> the case that must catch it.
CAUGHT_BY = {
    "sabotage_reading": {
        "ServesDeletedBlobs": "test_a_blob_that_another_instance_deletes_is_gone",
        "RemembersSizesOfDeletedBlobs": "test_a_blob_that_another_instance_deletes_is_gone",
        "RemembersMissingBlobs": "test_a_blob_that_another_instance_adds_is_found",
        "ServesSourcesThatHaveGone": "test_a_source_that_goes_after_it_was_read_is_gone",
        "EndsEarlyIfTheBlobIsDeleted": "test_a_blob_deleted_while_it_is_read_never_ends_early",
        "FailsOddlyIfTheBlobIsDeleted": "test_a_blob_deleted_while_it_is_read_never_ends_early",
        "CountsToSixteenMebibytes": "test_the_size_of_a_large_blob_is_true",
        "CountsInFloats": "test_the_size_is_a_number",
        "ClosesItsReadersOnce": "test_a_reader_in_any_state_is_closed_twice",
        "ReadsAfterClose": "test_a_closed_reader_gives_no_more_bytes",
        "FailsBehindTheEnd": "test_a_reader_from_the_end_is_empty",
        "BeginsAgainBehindTheEnd": "test_a_reader_from_the_end_is_empty",
        "ReadsAFileFromItsStart": "test_a_range_does_not_read_from_the_start",
        "ReadsASocketFromItsStart": "test_a_range_does_not_read_from_the_start",
        "CopiesTheWholeForARange": "test_a_range_does_not_read_from_the_start",
        "NamesAnotherStoreForOddLocations": "test_every_error_names_the_store_of_its_instance",
        "NamesItsFirstInstance": "test_every_error_names_the_store_of_its_instance",
        "FailsForNoBytes": "test_a_range_of_no_bytes_is_opened",
        "RemembersItsListing": "test_a_blob_that_another_instance_adds_is_found",
        "DeletesWhatIsGone": "test_a_blob_that_another_instance_deletes_is_gone",
        "ListsTheFirstHundred": "test_a_long_listing_holds_every_blob_once",
        "ListsTheFirstThousand": "test_a_long_listing_holds_every_blob_once",
        "ListsTheLastOfEachPageTwice": "test_a_long_listing_holds_every_blob_once",
        "ListsNoLargeBlobs": "test_the_listing_holds_a_large_blob",
        "ListsLargeBlobsAsTheirLastPart": "test_the_listing_holds_a_large_blob",
        "ListsUnfinishedUploads": "test_the_listing_holds_no_unfinished_upload",
        "ListsPartsAsBlobs": "test_the_listing_holds_no_unfinished_upload",
        "DatesEveryBlobNow": "test_the_date_of_a_blob_does_not_move",
        "TakesLocalTimeForUtc": "test_the_date_of_a_blob_is_true_in_every_time_zone",
    },
    "sabotage_away": {
        "CannotFindWhatIsAway": "test_a_blob_is_not_missing_because_its_place_is_away",
        "CannotMeasureWhatIsAway": "test_a_blob_is_not_missing_because_its_place_is_away",
        "FindsNothingToDeleteWhileAway": "test_nothing_is_deleted_while_its_place_is_away",
        "DeletesInSilenceWhileAway": "test_nothing_is_deleted_while_its_place_is_away",
        "DiscardsInSilenceWhileAway": "test_nothing_is_deleted_while_its_place_is_away",
        "ListsNothingWhileAway": "test_a_listing_is_not_empty_because_its_place_is_away",
        "ListsNoAttemptsWhileAway": "test_a_listing_is_not_empty_because_its_place_is_away",
        "ChecksNothing": "test_check_fails_while_the_place_is_away",
        "KeepsUploadsForLater": "test_an_upload_fails_while_the_place_is_away",
        "AsksItsPlaceToLocate": "test_locate_works_while_the_place_is_away",
        "KnowsItsRoomWhileAway": "test_the_room_is_not_known_while_the_place_is_away",
        "KnowsExtentsWhileAway": "test_extents_are_not_known_while_the_place_is_away",
        "CannotFindSourcesWhileAway": "test_a_source_is_not_missing_because_its_place_is_away",
        "NamesItsAddressWhileAway": AWAY_ERRORS,
        "NamesAnotherAddressWhileAway": AWAY_ERRORS,
        "NamesItsPathWhileAway": AWAY_ERRORS,
        "LogsItsSecretWhileAway": AWAY_ERRORS,
        "NeverComesBack": "test_a_blob_is_read_when_its_place_is_back",
        "TakesAReadErrorForTheEnd": "test_a_read_error_is_not_taken_for_the_end",
        "TakesABrokenListingForTheEnd": "test_a_listing_that_breaks_off_is_not_taken_for_the_whole",
    },
    "sabotage_declarations": {
        "LosesItsRanges": "test_it_has_the_abilities_that_its_author_names",
        "LosesItsListing": "test_it_has_the_abilities_that_its_author_names",
        "ChangesItsLocations": "test_the_location_has_the_form_of_earlier_versions",
        "LeavesAGapInExtents": "test_extents_cover_the_blob",
        "ForgetsTheLastExtent": "test_extents_cover_the_blob",
        "CallsDataHoles": "test_data_is_not_called_a_hole",
        "RoundsHolesUp": "test_holes_are_zeros",
        "KnowsExtentsOfMissingBlobs": "test_extents_of_a_missing_blob_are_an_error",
        "HasMoreFreeThanThereIs": "test_the_room_is_possible",
        "HasLessThanNothing": "test_the_room_is_possible",
        "AcceptsMoreThanItCanHold": "test_the_room_is_possible",
        "NamesAnotherFile": "test_the_path_for_a_proxy_names_the_file",
        "HasAPathForAnyLocation": "test_a_hostile_location_has_no_path",
        "HasNoUrl": "test_a_direct_url_gives_the_bytes",
        "SignsAnyLocation": "test_a_hostile_location_has_no_direct_url",
        "HasUrlsThatNeverExpire": "test_a_direct_url_expires",
        "CopiesNothing": "test_a_copy_is_right_or_not_made",
        "CopiesHalf": "test_a_copy_is_right_or_not_made",
        "LeavesACopyAndDeniesIt": "test_a_copy_is_right_or_not_made",
        "MovesInsteadOfCopying": "test_a_copy_is_right_or_not_made",
        "CopiesByReference": "test_a_copy_outlives_its_source",
        "CopiesOnlyFromItself": "test_a_copy_from_a_store_of_another_kind_is_right_or_not_made",
        "CopiesMissingBlobs": "test_a_copy_of_a_missing_blob_is_not_made",
        "CopiesOverATakenKey": "test_a_copy_to_a_taken_key_changes_nothing",
        "ClearsATakenKeyBeforeItRefuses": "test_a_copy_to_a_taken_key_changes_nothing",
    },
}
#: Driver that hangs -> the case that must fail at its time limit.
HANGING = {
    "HangsInGet": "test_a_closed_reader_gives_no_more_bytes",
    "HangsInAdd": "test_the_receipt_is_true",
    "HangsInRead": "test_a_blob_is_read_whole",
    "HangsInClose": "test_the_size_is_a_number",
    "HangsAgainAfterTheAlarm": "test_a_closed_reader_gives_no_more_bytes",
    "HangsInAThreadOfItsOwn": "test_a_closed_reader_gives_no_more_bytes",
}
#: A driver that no alarm can end.
STUCK = "HangsInC"


@pytest.fixture(scope="module")
def failures_of(request, tmp_path_factory):
    """failures_of(module): the cases that failed, and their messages, of one run of the selected drivers."""
    folder, chosen = tmp_path_factory.mktemp("kit"), selected_drivers(request)

    def run(module):
        return failures_in(folder, module, {d: c for d, c in CAUGHT_BY[module].items() if d in chosen})

    return functools.cache(run)


@pytest.fixture(scope="module")
def hung(tmp_path_factory):
    """The cases of hanging drivers that failed, and their messages."""
    return failures_in(tmp_path_factory.mktemp("hanging"), "sabotage_away", HANGING)


@pytest.mark.parametrize(
    ("module", "driver"),
    in_short_form([(module, driver) for module, cases in CAUGHT_BY.items() for driver in cases], driver=1),
)
def test_a_broken_driver_fails_the_case_that_is_named_for_its_defect(failures_of, module, driver):
    assert f"{driver}::{CAUGHT_BY[module][driver]}" in failures_of(module)


@pytest.mark.parametrize("module", CAUGHT_BY)
def test_every_broken_driver_has_a_case_that_must_fail(module):
    kits = importlib.import_module(f"core.tests.testing.{module}")
    expected = {*CAUGHT_BY[module], *([*HANGING, STUCK] if module == "sabotage_away" else [])}

    assert {name.removeprefix("Test") for name in vars(kits) if name.startswith("Test")} == expected


@pytest.mark.parametrize("driver", HANGING)
def test_a_driver_that_hangs_fails_the_case_at_its_time_limit(hung, driver):
    case = HANGING[driver]

    assert "the driver hangs: the case has not ended within 0.5 seconds" in hung[f"{driver}::{case}"]
    assert f": {case}" in hung[f"{driver}::{case}"]


def test_the_timer_of_another_plugin_goes_on_after_the_case():
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        with TimeLimits(2).limited(SimpleNamespace(name="test_x", cls=Harness)):
            within, _ = signal.getitimer(signal.ITIMER_REAL)
        after, _ = signal.getitimer(signal.ITIMER_REAL)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)

    assert within <= Harness.case_seconds
    assert 90 < after <= 100


def test_a_driver_that_hangs_in_a_library_ends_the_run_with_all_stacks(tmp_path):
    case = "test_a_closed_reader_gives_no_more_bytes"
    ended = run_kit(tmp_path, f"{FOLDER}/sabotage_away.py::Test{STUCK}::{case}")

    assert ended.returncode == 1
    assert f" in {case}" in ended.stderr
    assert "sabotage_away.py" in ended.stderr


def test_the_same_cases_pass_for_a_correct_driver(tmp_path):
    cases = {case for caught in CAUGHT_BY.values() for case in caught.values()}
    kit = f"{FOLDER}/sabotaged.py::KitOfMemory"
    ended = run_kit(tmp_path, kit, "-o", "python_classes=KitOf*", "-k", " or ".join(cases))

    assert ended.returncode == 0, ended.stdout
