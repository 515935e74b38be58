"""Where each of the eighteen points that results must hold is tested; a test that is gone or renamed fails this one.

Points that can be judged from files alone are those of `dicom_ai.report.checklist` as well.
"""

import ast
from pathlib import Path

import pytest

from dicom_ai.report.checklist.complaint import POINTS

TESTS = Path(__file__).parents[1]
SHOWN = {
    1: ("dciodvfy: no error, only warnings of the list", "unit/test_report_validators.py::test_dciodvfy_finds_nothing"),
    2: ("PixelMed: nothing", "unit/test_report_proofs.py::test_pixelmed_finds_nothing_in_three_reports"),
    3: ("dsrdump reads each class", "unit/test_report_validators.py::test_dsrdump_reads_the_report"),
    4: ("text in its order", "unit/test_report_validators.py::test_the_text_a_radiologist_reads"),
    5: ("dcentvfy over a set", "unit/test_report_proofs.py::test_dcentvfy_finds_nothing_over_a_set"),
    6: ("a tree that viewers read", "unit/test_report_checklist.py::test_each_defect_is_found_under_its_point"),
    7: ("a known square", "unit/test_report_region.py::test_a_square_of_known_place_comes_back_in_full_frame_pixels"),
    8: ("numbers", "unit/test_report_structured.py::test_numbers_stand_beside_the_class_they_belong_to"),
    9: ("code table", "unit/test_report_code.py::test_standard_codes_mean_what_pydicom_knows_of_them"),
    10: ("UIDs", "unit/test_report_uid.py::test_device_uid_follows_site_and_card"),
    11: ("flags", "unit/test_report_structured.py::test_flags_say_unverified_and_ours"),
    12: ("captures", "unit/test_report_capture.py::test_a_clip_holds_exactly_the_analysed_frames_at_the_sources_speed"),
    13: ("what a PACS refuses", "unit/test_delivery.py::test_the_report_takes_the_best_form_that_is_accepted"),
    14: ("Orthanc", "e2e/test_orthanc_round_trip.py::test_report_and_captures_lie_in_the_study_of_the_patient"),
    15: ("read back", "unit/test_report_verdict.py::test_reading_back_gives_what_was_said"),
    16: ("loop guard", "unit/test_instance.py::test_our_own_result_is_never_analysed_again"),
    17: ("same bytes", "unit/test_reporting.py::test_the_same_case_gives_the_same_bytes"),
    18: ("defects", "unit/test_report_proofs.py::test_pixelmed_notices_what_breaks_the_template"),
}  # fmt: skip


def test_there_are_eighteen():
    assert list(SHOWN) == list(range(1, 19))
    assert set(POINTS) <= set(SHOWN)


@pytest.mark.parametrize("point", SHOWN)
def test_each_point_has_its_test(point):
    file, name = SHOWN[point][1].split("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
