"""The page of a report: who stands on it, what has no room, the same bytes each time, and what validators say."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

from dicom_ai.commands.validate import findings
from dicom_ai.finding import State
from dicom_ai.report.checklist.judge import complaints
from dicom_ai.report.content import ReportContent
from dicom_ai.report.header import part10
from dicom_ai.report.letters import broken, is_drawable, width
from dicom_ai.report.one_page import words
from dicom_ai.report.page import lines
from dicom_ai.report.pages import PAGES, report_page
from dicom_ai.report.sheet import COLUMNS, ROWS
from dicom_ai.report.stills import as_taken, frame_of, key_frame_stills, still_uid, variant
from dicom_ai.report.structured import structured_report
from dicom_ai.report.summary import summary_of
from dicom_ai.report.wording import _TEXTS
from tests.builders_report import lung, skipped, source
from tests.forms import drawn
from tests.unit.test_report_validators import ALLOWED, tool

PAGE, PDF = PAGES


def made(sop_class: str, *headers: Dataset, language: str = "en", content: ReportContent | None = None) -> Dataset:
    said, captures = drawn(content or lung(list(headers), language), headers)
    by_uid = {str(ds.SOPInstanceUID): ds for ds in captures}
    return report_page(said, headers, by_uid.__getitem__, sop_class=sop_class)


def pixels(ds: Dataset) -> np.ndarray:
    return np.frombuffer(ds.PixelData, np.uint8).reshape(ds.Rows, ds.Columns, 3)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("sop_class", PAGES)
def test_a_page_is_sound_before_validators_and_our_own_list(sop_class, language, tmp_path):
    headers = source(1, frames=3), source(2)
    ds = made(sop_class, *headers, language=language)
    assert [line.line() for line in complaints(ds, [ds, *headers])] == []
    path = tmp_path / "page.dcm"
    path.write_bytes(part10(ds))
    tool("dciodvfy")
    assert [line for line in findings("dciodvfy", path) if not ALLOWED.search(line)] == []


@pytest.mark.parametrize("sop_class", PAGES)
def test_the_same_report_makes_the_same_bytes(sop_class):
    assert part10(made(sop_class, source(1))) == part10(made(sop_class, source(1)))


def test_the_capture_of_the_page_shows_no_identity_and_the_document_does():
    one, other = source(1), source(1, PatientName="Jemand^Anders", PatientID="PID-2", AccessionNumber="ACC-8")
    assert (pixels(made(PAGE, one)) == pixels(made(PAGE, other))).all()
    assert made(PDF, one).EncapsulatedDocument != made(PDF, other).EncapsulatedDocument
    assert "PID-1" not in str(made(PDF, one).DocumentTitle)


def test_every_character_of_ours_can_be_drawn():
    for texts in (_TEXTS, words()):
        for pair in texts.values():
            for text in pair:
                assert is_drawable(text.replace("\n", " ")), text


@pytest.mark.parametrize("text", ["㐀", "שם", "ชื่อ", "नाम", "a\u0301\u0302\u0303x", "\u202egnp", "\x07"])
def test_what_a_reader_would_not_see_is_not_drawable(text):
    assert not is_drawable(text)


@pytest.mark.parametrize("text", ["Müller Jörg", "王小东", "山田たろう", "Ольга", "홍길동", "ACC-9/7 (a)"])
def test_names_of_many_places_are_drawable(text):
    assert is_drawable(text)


def test_a_name_that_cannot_be_drawn_is_not_drawn_with_gaps():
    rare = source(1, SpecificCharacterSet="ISO_IR 192", PatientName="㐀^小东")
    rarer = source(1, SpecificCharacterSet="ISO_IR 192", PatientName="㐁^小西")
    first, second = (made(PDF, one).EncapsulatedDocument for one in (rare, rarer))
    assert first == second  # the same words in the place of either name


@given(st.text(alphabet="abc ÄÖé王小东。,-0123456789", max_size=200), st.integers(40, 600), st.sampled_from([20, 24]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_lines_hold_every_character_and_fit(text, columns, size):
    lines = broken(text, columns, size)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(width(line, size) <= columns or len(line) == 1 for line in lines)


def test_what_has_no_room_is_counted_and_nothing_leaves_the_sheet():
    headers = [source(n) for n in range(1, 60)]
    whole = lung(headers[:1])
    content = dataclasses.replace(whole, skipped=tuple(skipped(h) for h in headers[1:]))
    said, captures = drawn(content, headers[:1])
    ds = report_page(said, headers, lambda _uid: captures[0], sop_class=PAGE)
    assert (ds.Rows, ds.Columns) == (ROWS, COLUMNS)
    red = (pixels(ds).astype(int) - (176, 0, 0)).__abs__().sum(axis=2) < 40
    assert red[400:].any(), "the sentence about what has no room is red"
    assert not (pixels(ds)[:, -40:] != 255).any()


def test_a_page_on_which_nothing_was_assessed_says_that_it_is_no_negative():
    header = source(1)
    content = lung([header])
    unsure = tuple(dataclasses.replace(f, state=State.INDETERMINATE) for f in content.findings)
    nothing = dataclasses.replace(content, findings=unsure, images=(), skipped=(skipped(header),))
    ds = report_page(nothing, [header], pytest.fail, sop_class=PAGE)
    assert (pixels(ds) != pixels(made(PAGE, header))).any()


DEFECTS = {
    "names nobody burned in": (PDF, lambda ds: setattr(ds, "BurnedInAnnotation", "NO")),
    "a name burned in": (PAGE, lambda ds: setattr(ds, "BurnedInAnnotation", "YES")),
    "half a document": (PDF, lambda ds: setattr(ds, "EncapsulatedDocument", ds.EncapsulatedDocument[:-600])),
    "no document": (PDF, lambda ds: setattr(ds, "EncapsulatedDocument", b"<html>")),
    "another length": (PDF, lambda ds: setattr(ds, "EncapsulatedDocumentLength", 12)),
    "verified": (PDF, lambda ds: setattr(ds, "VerificationFlag", "VERIFIED")),
    "title with a name": (PDF, lambda ds: setattr(ds, "DocumentTitle", "PID-1")),
    "no sources": (PDF, lambda ds: delattr(ds, "SourceInstanceSequence")),
    "another patient": (PAGE, lambda ds: setattr(ds, "PatientID", "PID-2")),
    "nobody warned": (PAGE, lambda ds: setattr(ds, "SeriesDescription", "lung")),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_our_own_list_finds_each_defect_of_a_page(defect):
    sop_class, spoil = DEFECTS[defect]
    header = source(1)
    ds = made(sop_class, header)
    spoil(ds)
    assert {complaint.point for complaint in complaints(ds, [ds, header])} == {12}


def test_stills_show_the_frames_of_the_clip_and_their_names_follow_it():
    header = source(1, frames=3)
    content, (clip,) = drawn(lung([header]), [header])
    stills = list(key_frame_stills(content, clip))
    assert [ds.SourceImageSequence[0].ReferencedFrameNumber for ds in stills] == [1, 3]
    for ds, number in zip(stills, (1, 3), strict=True):
        assert (pixels(ds) == frame_of(clip, number - 1)).all()
        assert ds.SOPInstanceUID == still_uid(content.analysis, clip.SOPInstanceUID, number)
        assert [line.line() for line in complaints(ds, [ds, header])] == []
        assert ds.LossyImageCompression == "01"
        assert "NumberOfFrames" not in ds
    assert len({ds.InstanceNumber for ds in stills}) == len(stills)


def test_a_report_names_only_what_was_taken():
    headers = [source(1, frames=3), source(2)]
    content, (clip, still) = drawn(lung(headers), headers)
    everything = {str(clip.SOPInstanceUID), str(still.SOPInstanceUID)}
    stills = {str(ds.SOPInstanceUID) for ds in key_frame_stills(content, clip)}
    assert as_taken(content, everything) == content
    assert variant(as_taken(content, everything), content) == ""
    beside = as_taken(content, {*stills, str(still.SOPInstanceUID)})
    named = {link.reference.sop_instance_uid for image in beside.images for link in image.captures}
    assert named == {*stills, str(still.SOPInstanceUID)}
    nothing = as_taken(content, ())
    assert not any(image.captures for image in nothing.images)
    assert len({variant(one, content) for one in (content, beside, nothing)}) == 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_basic_text_is_sound_before_every_judge(language, tmp_path: Path):
    headers = [source(1, frames=3), source(2)]
    content, captures = drawn(lung(headers, language), headers)
    ds = structured_report(content, headers, captures, sop_class=BasicTextSRStorage)
    allowed = {"CONTAINER", "CODE", "TEXT", "UIDREF", "IMAGE"}
    items = [ds]
    while items:
        item = items.pop()
        assert item.ValueType in allowed
        assert item.ValueType != "CONTAINER" or item.ContinuityOfContent == "SEPARATE"
        items += item.get("ContentSequence") or []
    assert (ds.VerificationFlag, ds.PreliminaryFlag, ds.CompletionFlag) == ("UNVERIFIED", "PRELIMINARY", "COMPLETE")
    assert [line.line() for line in complaints(ds, [ds, *headers, *captures])] == []
    path = tmp_path / "text.dcm"
    path.write_bytes(part10(ds))
    for name in ("dciodvfy", "dsrdump"):
        tool(name)
        found = [line for line in findings(name, path) if not ALLOWED.search(line)]
        assert [line for line in found if not line.startswith("W: The VR checker does not support")] == []


@pytest.mark.parametrize(("language", "wanted"), [("en", "B-lines on lung ultrasound: Present"), ("zh", "B线: 存在")])
def test_show_prints_basic_text(language, wanted):
    header = source(1)
    content, captures = drawn(lung([header], language), [header])
    ds = structured_report(content, [header], captures, sop_class=BasicTextSRStorage)
    said = "\n".join(lines(summary_of(ds)))
    assert wanted in said
    assert "93.12 %" in said
    assert "PID-1" not in said
