import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_ai.deliver.negotiate import (
    MAX_CONTEXTS,
    REPORT_FORMS,
    SR_CLASSES,
    has_stills,
    report_contexts,
    report_forms,
    split_into_associations,
)

C3D, COMPREHENSIVE, ENHANCED, TEXT = (f"1.2.840.10008.5.1.4.1.1.88.{last}" for last in (34, 33, 22, 11))
PAGE, PDF = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.104.1"
CHAIN = (C3D, COMPREHENSIVE, ENHANCED, TEXT, PAGE, PDF)


def accepting(*classes: str) -> dict[str, set[str]]:
    return {sop_class: {str(ExplicitVRLittleEndian)} for sop_class in classes}


@pytest.mark.parametrize("best", range(len(CHAIN)))
def test_the_best_accepted_form_comes_first(best):
    assert report_forms(accepting(*reversed(CHAIN[best:]))) == CHAIN[best:]


def test_nothing_accepted_is_no_form():
    assert report_forms({}) == report_forms({}, C3D) == ()


def test_a_class_accepted_in_a_syntax_we_do_not_write_is_not_chosen():
    accepted = {C3D: {str(ImplicitVRLittleEndian)}, **accepting(ENHANCED)}
    assert report_forms(accepted) == (ENHANCED,)


@pytest.mark.parametrize("begun", range(len(CHAIN)))
def test_the_form_that_was_begun_comes_first_and_better_ones_last(begun):
    assert report_forms(accepting(*CHAIN), CHAIN[begun]) == CHAIN[begun:] + CHAIN[:begun]


def test_every_form_is_proposed_in_order():
    assert [sop_class for sop_class, _ in report_contexts()] == list(REPORT_FORMS) == list(CHAIN)
    assert REPORT_FORMS[:3] == SR_CLASSES


def test_only_clips_of_captures_have_stills():
    assert has_stills("1.2.840.10008.5.1.4.1.1.7.4")
    assert not any(map(has_stills, CHAIN))


@pytest.mark.parametrize(("pairs", "sizes"), [(0, []), (1, [1]), (128, [128]), (129, [128, 1]), (300, [128, 128, 44])])
def test_proposals_hold_at_most_128_contexts(pairs, sizes):
    wanted = [(f"1.2.{i}", "1.2.840.10008.1.2.1") for i in range(pairs)]
    proposals = split_into_associations(wanted + wanted)  # repetitions take no room
    assert [len(proposal) for proposal in proposals] == sizes
    assert [pair for proposal in proposals for pair in proposal] == wanted
    assert MAX_CONTEXTS == 128
