"""Each defect of uploads in parts fails the case that is named for it."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from core.tests.testing.test_kit import ISOLATED

SABOTAGED = Path(__file__).with_name("sabotaged_parts.py")
#: Driver -> the case that must catch it.
CAUGHT_BY = {
    "JoinsPartsAsTheyCame": "test_parts_in_any_order_become_the_blob",
    "KeepsTheFirstOfTwo": "test_a_part_that_is_sent_again_replaces_the_first",
    "JoinsWhateverPartItHas": "test_a_receipt_never_stands_for_the_bytes_that_replaced_its_part",
    "EndsAtAFailedPart": "test_a_part_whose_source_fails_can_be_sent_again",
    "KeepsPartsInTheInstance": "test_the_parts_may_go_to_several_processes",
    "SharesOneBuffer": "test_parallel_parts_do_not_mix",
    "ForgetsToListAPart": "test_the_stored_parts_are_listed_with_their_receipts",
    "FinishesWithoutAPart": "test_an_upload_that_lacks_a_part_cannot_be_finished",
    "ShowsAPart": "test_the_blob_is_not_seen_before_the_upload_is_finished",
    "AbortsOnce": "test_an_aborted_upload_leaves_nothing_and_can_be_aborted_again",
    "KeepsWhatWasFinished": "test_a_finished_upload_leaves_nothing_but_its_blob",
    "AbortsWhatIsFinished": "test_requests_that_come_after_the_end_do_not_change_the_blob",
    "ReplacesABlob": "test_an_upload_in_parts_does_not_replace_a_blob",
    "SavesUploadsFromDiscard": "test_discard_removes_an_upload_in_parts",
    "HidesUploadsInParts": "test_an_unfinished_upload_in_parts_is_listed_as_an_attempt",
    "MakesLongTokens": "test_the_token_of_an_upload_is_short_printable_text",
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    cases = [f"{SABOTAGED}::Test{driver}::{case}" for driver, case in CAUGHT_BY.items()]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", f"--junit-xml={report}"]
    subprocess.run([*command, *ISOLATED, *cases], cwd=report.parent, capture_output=True)
    return {
        f"{case.get('classname').rpartition('.')[2]}::{case.get('name').partition('[')[0]}"
        for case in ElementTree.parse(report).iter("testcase")
        if case.find("failure") is not None
    }


@pytest.mark.parametrize("driver", CAUGHT_BY)
def test_a_driver_with_broken_parts_fails_the_case_that_is_named_for_its_defect(failures, driver):
    assert f"Test{driver}::{CAUGHT_BY[driver]}" in failures


def test_every_driver_with_broken_parts_has_a_case_that_must_fail():
    classes = re.findall(r"^class (\w+)\(Sabotage\)", SABOTAGED.read_text(), re.MULTILINE)

    assert set(classes) == set(CAUGHT_BY)
