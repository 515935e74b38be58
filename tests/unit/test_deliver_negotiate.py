import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_ai.deliver.negotiate import (
    MAX_CONTEXTS,
    SR_CLASSES,
    choose_report_class,
    report_contexts,
    split_into_associations,
)

C3D, COMPREHENSIVE, ENHANCED = (f"1.2.840.10008.5.1.4.1.1.88.{last}" for last in (34, 33, 22))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((C3D, COMPREHENSIVE, ENHANCED), C3D),
        ((ENHANCED, COMPREHENSIVE), COMPREHENSIVE),
        ((ENHANCED,), ENHANCED),
        ((), None),
    ],
)
def test_the_best_accepted_report_class_is_chosen(classes, expected):
    assert choose_report_class({sop_class: {str(ExplicitVRLittleEndian)} for sop_class in classes}) == expected


def test_a_class_accepted_in_a_syntax_we_do_not_write_is_not_chosen():
    accepted = {C3D: {str(ImplicitVRLittleEndian)}, ENHANCED: {str(ExplicitVRLittleEndian)}}
    assert choose_report_class(accepted) == ENHANCED


def test_every_report_class_is_proposed_in_order():
    assert [sop_class for sop_class, _ in report_contexts()] == list(SR_CLASSES) == [C3D, COMPREHENSIVE, ENHANCED]


@pytest.mark.parametrize(("pairs", "sizes"), [(0, []), (1, [1]), (128, [128]), (129, [128, 1]), (300, [128, 128, 44])])
def test_proposals_hold_at_most_128_contexts(pairs, sizes):
    wanted = [(f"1.2.{i}", "1.2.840.10008.1.2.1") for i in range(pairs)]
    proposals = split_into_associations(wanted + wanted)  # repetitions take no room
    assert [len(proposal) for proposal in proposals] == sizes
    assert [pair for proposal in proposals for pair in proposal] == wanted
    assert MAX_CONTEXTS == 128
