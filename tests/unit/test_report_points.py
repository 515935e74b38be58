"""Where each of the eighteen points that results must hold is tested; a test that is gone or renamed fails this one.

Points that can be judged from files alone are those of `dicom_ai.report.checklist` as well.
"""

import ast
from pathlib import Path

import pytest

from dicom_ai.report.checklist.complaint import POINTS

TESTS = Path(__file__).parents[1]
SHOWN: dict[int, tuple[str, ...]] = {
    1: (  # dciodvfy: no error, only warnings of the list
        "unit/test_report_validators.py::test_dciodvfy_finds_nothing",
        "unit/test_report_sources.py::test_results_of_every_kind_of_source_are_sound",
        "unit/test_report_sources.py::test_results_of_every_accepted_real_object_are_sound",
    ),
    2: (  # PixelMed: nothing; in a verdict nothing but the reader's word
        "unit/test_report_proofs.py::test_pixelmed_finds_nothing_in_three_reports",
        "unit/test_report_proofs.py::test_pixelmed_finds_nothing_in_a_verdict_but_the_readers_word",
        "unit/test_report_proofs.py::test_pixelmed_finds_nothing_in_a_note_that_takes_results_back",
    ),
    3: ("unit/test_report_validators.py::test_dsrdump_reads_the_report",),
    4: (  # the text as a radiologist reads it
        "unit/test_report_validators.py::test_the_text_a_radiologist_reads",
        "unit/test_report_proofs.py::test_dsr2html_loses_the_names_of_numbers_in_continuous_containers",
    ),
    5: (  # one patient, one study, references that lead somewhere
        "unit/test_report_proofs.py::test_dcentvfy_finds_nothing_over_a_set",
        "unit/test_report_proofs.py::test_dcentvfy_and_our_own_list_notice_a_reference_to_what_is_not_there",
    ),
    6: (  # a tree that viewers read
        "unit/test_report_checklist.py::test_each_defect_is_found_under_its_point",
        "browser/test_ohif.py::test_the_report_of_two_stills_lies_on_its_images",
    ),
    7: (  # places
        "unit/test_bright_square.py::test_a_square_comes_back_through_the_service_within_two_pixels",
        "unit/test_report_region.py::test_a_square_of_known_place_comes_back_in_full_frame_pixels",
        "unit/test_report_cases.py::test_regions_and_frames_outside_the_image_are_refused",
        "browser/test_ohif.py::test_the_report_of_a_clip_lies_on_its_frames",
    ),
    8: ("unit/test_report_structured.py::test_numbers_stand_beside_the_class_they_belong_to",),
    9: (  # the reviewed table of codes
        "unit/test_report_code.py::test_standard_codes_mean_what_pydicom_knows_of_them",
        "unit/test_report_code.py::test_lengths",
        "unit/test_report_code.py::test_private_codes_are_in_our_scheme_and_start_with_99",
    ),
    10: (  # UIDs
        "unit/test_report_uid.py::test_a_uid_is_a_legal_2_25_uid",
        "unit/test_report_uid.py::test_device_uid_follows_site_and_card",
    ),
    11: (  # flags, observers, predecessors
        "unit/test_report_structured.py::test_flags_say_unverified_and_ours",
        "unit/test_report_verdict.py::test_the_header_says_who_verified_what",
        "unit/test_report_cases.py::test_a_revision_names_its_predecessor",
    ),
    12: (  # captures: size, pixels, length and speed, loss, letters off the scan, nothing of the screen around it
        "unit/test_report_capture_written.py::test_every_row_of_a_capture_is_as_it_must_be",
        "unit/test_report_capture_written.py::test_what_is_decoded_is_what_was_drawn",
        "unit/test_report_capture_written.py::test_a_clip_holds_the_analysed_frames_at_their_pace",
        "unit/test_report_capture_written.py::test_what_the_source_lost_is_carried_on",
        "unit/test_report_capture_written.py::test_nothing_of_the_patient_is_left_in_the_pixels",
        "unit/test_report_capture.py::test_a_still_is_a_raw_secondary_capture_of_the_same_size",
        "unit/test_report_capture.py::test_a_clip_holds_exactly_the_analysed_frames_at_the_sources_speed",
        "unit/test_report_capture.py::test_lossy_history_is_carried_on_even_when_stored_raw",
        "unit/test_report_capture.py::test_our_own_loss_is_added_to_the_history",
        "unit/test_report_overlay.py::test_text_stays_off_the_scan_and_heat_stays_on_it",
        "unit/test_report_overlay.py::test_the_warning_is_readable",
        "unit/test_report_overlay.py::test_everything_else_is_black",
    ),
    13: (  # what a PACS accepts: three, two, one, none of the classes; Implicit VR only; failures and retries
        "unit/test_delivery_forms.py::test_every_destination_gets_exactly_one_right_form_or_an_alarm",
        "unit/test_delivery_forms.py::test_a_lost_connection_repeats_the_form_and_its_bytes",
        "unit/test_delivery.py::test_the_report_takes_the_best_form_that_is_accepted",
        "unit/test_delivery.py::test_a_destination_without_any_form_of_a_report_is_told_to_people",
        "unit/test_deliver_negotiate.py::test_a_class_accepted_in_a_syntax_we_do_not_write_is_not_chosen",
        "unit/test_delivery.py::test_a_retry_sends_the_stored_bytes",
        "protocol/test_deliver_association.py::test_a_refused_class_is_dead_and_the_others_go_out",
        "contract/test_deliver_peers.py::test_a_retry_of_what_arrived_is_delivered_and_not_doubled",
    ),
    14: (  # Orthanc
        "e2e/test_orthanc_kinds.py::test_orthanc_gives_back_what_was_sent",
        "e2e/test_orthanc_kinds.py::test_a_capture_has_a_preview_of_its_own_pixels",
        "e2e/test_orthanc_kinds.py::test_the_study_list_says_what_there_is",
        "e2e/test_orthanc_round_trip.py::test_report_and_captures_lie_in_the_study_of_the_patient",
    ),
    15: (  # read back
        "unit/test_report_verdict.py::test_reading_back_gives_what_was_said",
        "unit/test_report_verdict.py::test_what_was_not_assessed_is_no_label_and_rejected_is_not_missing",
    ),
    16: (  # loop guard
        "unit/test_instance.py::test_our_own_result_is_never_analysed_again",
        "unit/test_report_proofs.py::test_everything_of_ours_is_refused_by_our_own_receiver",
        "e2e/test_orthanc_round_trip.py::test_our_own_results_come_back_and_nothing_is_made_of_them",
    ),
    17: (  # same bytes; a changed set makes a document that names the old one
        "unit/test_reporting.py::test_the_same_case_gives_the_same_bytes",
        "unit/test_workflow.py::test_every_step_repeated_leaves_ledger_and_store_as_they_were",
        "e2e/test_orthanc_round_trip.py::test_a_late_still_makes_a_report_that_names_the_one_it_replaces",
    ),
    18: (  # what breaks, and who notices
        "unit/test_report_proofs.py::test_pixelmed_notices_what_breaks_the_template",
        "unit/test_report_proofs.py::test_pixelmed_notices_a_purpose_of_reference_in_a_note",
        "unit/test_report_proofs.py::test_dciodvfy_notices_what_breaks_the_module",
        "unit/test_report_proofs.py::test_dcentvfy_notices_what_does_not_fit_together",
        "unit/test_report_checklist.py::test_each_defect_is_found_under_its_point",
    ),
}
PLACES = [place for places in SHOWN.values() for place in places]


def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_there_are_eighteen():
    assert list(SHOWN) == list(range(1, 19))
    assert set(POINTS) <= set(SHOWN)
    assert all(SHOWN.values())


@pytest.mark.parametrize("place", PLACES)
def test_each_point_has_its_tests(place):
    file, name = place.split("::")
    assert name in names_in(file)
