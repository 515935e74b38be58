import dataclasses
from datetime import date, datetime, time
from types import SimpleNamespace

import highdicom.base
import highdicom.base_content
import highdicom.sr.sop
import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_ai.instance import OUR_MANUFACTURER, Instance
from dicom_ai.report.capture import Shown, capture
from dicom_ai.report.content import ReportContent
from dicom_ai.report.header import part10
from dicom_ai.report.structured import SR_CLASSES, report_uid, structured_report
from tests.builders_report import (
    BOX,
    REGION,
    build,
    linked,
    lung,
    named,
    skipped,
    source,
    texts,
    uterus,
    walk,
)

STILL, CLIP, THIRD = source(1), source(2, frames=30), source(3)


@pytest.mark.parametrize("sop_class", SR_CLASSES)
def test_the_document_stands_as_designed(sop_class):
    report = build(lung([STILL, CLIP]), STILL, CLIP, sop_class=sop_class)
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == sop_class
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    order = [child.ConceptNameCodeSequence[0].CodeValue for child in report.ContentSequence]
    assert order[0] == "121049"
    assert order[-3:] == ["C0034375", "111028", "126010"]
    containers = [item for item in walk(report) if item.get("ValueType") == "CONTAINER"]
    assert len(containers) > 5
    assert {item.ContinuityOfContent for item in containers} == {"SEPARATE"}
    assert all("ConceptNameCodeSequence" in child for item in containers for child in item.ContentSequence)


def test_the_answer_and_the_warning_come_first():
    report = build(lung([STILL]), STILL)
    answers = named(report, "C0034375")[0].ContentSequence
    assert answers[0].TextValue.startswith("AI-GENERATED RESULT, NOT VERIFIED BY A PHYSICIAN. Research use only.")
    states = {c.ConceptNameCodeSequence[0].CodeValue: c.ConceptCodeSequence[0].CodeMeaning for c in answers[1:5]}
    assert states == {"ALINE": "Absent", "BLINE": "Present", "60046008": "Present", "95436008": "Absent"}
    said = " ".join(texts(report))
    assert "B-lines present, probability 93.12 %, threshold 50.00 %" in said
    assert "0123456789abcdef" * 4 in said


def test_flags_say_unverified_and_ours():
    report = build(lung([STILL]), STILL)
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    assert "VerifyingObserverSequence" not in report
    assert report.ContentQualification == "RESEARCH"
    assert report.Manufacturer == OUR_MANUFACTURER
    assert report.SeriesNumber >= 9000
    assert "AI" in report.SeriesDescription
    assert "unverified" in report.SeriesDescription
    assert report.AuthorObserverSequence[0].ObserverType == "DEV"
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99DICOMAI"
    assert report.ContributingEquipmentSequence[0].Manufacturer == "GE Healthcare"
    device = report.ContributingEquipmentSequence[-1].DeviceUID
    assert device == named(report, "121012")[0].UID == report.AuthorObserverSequence[0].DeviceUID
    assert not any(element.tag.is_private for element in report.iterall())


def test_the_loop_guard_can_know_a_report_by_its_maker():
    facts = Instance.of(build(lung([STILL]), STILL), "1.2.840.10008.1.2.1")
    assert facts.manufacturer == OUR_MANUFACTURER
    assert not facts.is_ultrasound


def test_numbers_stand_beside_the_class_they_belong_to():
    report = build(lung([CLIP]), CLIP)
    groups = [g for g in named(report, "125007") if named(g, "P-BLINE")]
    assert len(groups) == 2
    expected = {"P-ALINE": 2.0, "P-BLINE": 93.12, "P-EFFUSION": 71.45, "P-CONSOLIDATION": 8.0}
    classes = {"P-ALINE": "ALINE", "P-BLINE": "BLINE", "P-EFFUSION": "60046008", "P-CONSOLIDATION": "95436008"}
    for group in groups:
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        found = {n.ConceptNameCodeSequence[0].CodeValue: n for n in numbers}
        assert set(found) == set(expected)
        for value, number in found.items():
            measured = number.MeasuredValueSequence[0]
            assert float(measured.NumericValue) == expected[value]
            assert str(measured.NumericValue) == f"{expected[value]:.2f}"
            assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
            assert number.ContentSequence[0].ConceptCodeSequence[0].CodeValue == classes[value]
            assert number.ContentSequence[0].RelationshipType == "HAS CONCEPT MOD"


def test_softmax_numbers_add_up_to_a_hundred():
    report = build(uterus([STILL]), STILL)
    numbers = [n.MeasuredValueSequence[0].NumericValue for v in ("P-ENDOPOLYP", "P-SUBMUCFIBROID", "P-NORMAL")
               for n in named(report, v)]  # fmt: skip
    assert sum(map(float, numbers)) == pytest.approx(100, abs=0.1)


def test_every_group_has_one_region_on_one_frame_and_its_own_tracking_uid():
    report = build(lung([STILL, CLIP]), STILL, CLIP)
    groups = named(report, "125007")
    assert len(groups) == 5  # the still; two key frames, each with one region
    uids = [named(group, "112040")[0].UID for group in groups]
    assert len(set(uids)) == len(uids)
    labels = [named(group, "112039")[0].TextValue for group in groups]
    assert labels == ["Image 1", "Image 2 frame 1", "Image 2 frame 1: B-lines #1", "Image 2 frame 30",
                      "Image 2 frame 30: B-lines #1"]  # fmt: skip
    frames = []
    for group in groups:
        (region,) = named(group, "111030")
        points = np.array(region.GraphicData).reshape(-1, 2)
        assert region.GraphicType == "POLYLINE"
        assert (points[0] == points[-1]).all()
        assert (points >= 0).all()
        assert (points <= (640, 480)).all()
        (item,) = region.ContentSequence[0].ReferencedSOPSequence
        frames.append(item.get("ReferencedFrameNumber"))
    assert frames == [None, 1, 1, 30, 30]
    first = np.array(named(groups[1], "111030")[0].GraphicData).reshape(-1, 2)
    assert (*first.min(axis=0), *first.max(axis=0)) == BOX
    assert np.allclose(np.array(named(groups[2], "111030")[0].GraphicData).reshape(-1, 2), REGION)


def test_a_still_that_shows_no_class_names_no_finding():
    groups = named(build(lung([STILL, CLIP]), STILL, CLIP), "125007")
    assert [bool([c for c in g.ContentSequence if c.ConceptNameCodeSequence[0].CodeValue == "121071"])
            for g in groups] == [False, True, True, True, True]  # fmt: skip


def test_a_finding_keeps_its_tracking_uid_whatever_form_the_destination_takes():
    forms = [build(lung([CLIP]), CLIP, sop_class=sop_class) for sop_class in SR_CLASSES]
    assert len({form.SOPInstanceUID for form in forms}) == 3
    assert len({tuple(item.UID for item in named(form, "112040")) for form in forms}) == 1
    assert [form.SOPInstanceUID for form in forms] == [report_uid(lung([CLIP]).analysis, c) for c in SR_CLASSES]


def test_the_library_lists_every_analysed_image_in_its_first_group():
    report = build(lung([STILL, CLIP, THIRD]), THIRD, CLIP, STILL)
    (group,) = named(report, "126200")
    listed = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in group.ContentSequence]
    assert listed == [STILL.SOPInstanceUID, CLIP.SOPInstanceUID, THIRD.SOPInstanceUID]
    assert [item.MeasuredValueSequence[0].NumericValue for item in named(group, "110910")] == [480, 480, 480]


def test_all_that_is_referenced_is_evidence():
    header = capture_header(CLIP, (1, 30))
    content = linked(lung([STILL, CLIP]), header, 1, "b_lines")
    report = structured_report(content, [STILL, CLIP], [header], sop_class=SR_CLASSES[0])
    evidence = {
        (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    referenced = {
        (
            str(i.ReferencedSOPSequence[0].ReferencedSOPClassUID),
            str(i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
        )
        for i in walk(report)
        if i.get("ValueType") == "IMAGE"
    }
    assert referenced == evidence
    assert "PertinentOtherEvidenceSequence" not in report
    shown = [item.ReferencedSOPSequence[0].ReferencedFrameNumber for item in named(report, "121200")]
    assert shown == [1, 1, 2, 2]  # the second frame of the capture shows frame 30


def capture_header(clip: Dataset, numbers: tuple[int, ...]) -> Dataset:
    frames = np.zeros((len(numbers), int(clip.Rows), int(clip.Columns), 3), np.uint8)
    return capture(lung([clip]).analysis, clip, Shown(frames, numbers, "b_lines", 0, (0, 0, 9, 9)))


def test_retired_ultrasound_classes_are_referenced_as_they_are():
    old = source(5, SOPClassUID="1.2.840.10008.5.1.4.1.1.6")
    report = build(lung([old]), old)
    references = [item.ReferencedSOPSequence[0] for item in walk(report) if item.get("ValueType") == "IMAGE"]
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {r.ReferencedSOPClassUID for r in [*references, *evidence]} == {"1.2.840.10008.5.1.4.1.1.6"}


class _Clock(datetime):
    """A clock that goes wrong by years."""

    @classmethod
    def now(cls, tz=None):
        return cls(1999, 12, 31, 23, 59, 59)


@pytest.mark.parametrize("sop_class", SR_CLASSES)
def test_the_same_content_makes_the_same_bytes_whatever_the_clock_says(sop_class, monkeypatch):
    content = dataclasses.replace(lung([STILL, CLIP]), skipped=(skipped(THIRD),))
    first = part10(build(content, STILL, CLIP, THIRD, sop_class=sop_class))
    for module in (highdicom.base, highdicom.base_content, highdicom.sr.sop):
        monkeypatch.setattr(module, "datetime", SimpleNamespace(datetime=_Clock, date=date, time=time))
    again = ReportContent.from_json(content.to_json())
    assert part10(build(again, THIRD, CLIP, STILL, sop_class=sop_class)) == first
    assert b"1999" not in first
