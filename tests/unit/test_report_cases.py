import dataclasses

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from dicom_ai.errors import CardMismatch, InputError
from dicom_ai.finding import Finding, State
from dicom_ai.report.content import KeyFrame, Reference
from dicom_ai.report.header import part10
from dicom_ai.report.structured import SR_CLASSES
from tests.builders_report import (
    LUNG,
    build,
    lung,
    named,
    skipped,
    source,
    texts,
)

STILL, CLIP, THIRD = source(1), source(2, frames=30), source(3)


def test_skipped_images_make_it_partial_and_are_named_with_the_reason():
    content = dataclasses.replace(lung([STILL]), skipped=(skipped(CLIP),))
    report = build(content, STILL, CLIP)
    assert report.CompletionFlag == "PARTIAL"
    assert report.CompletionFlagDescription == "Unverified AI result; 1 of 2 images could be assessed"
    assert "Not analysed: series 1, image 2: The object states no ultrasound region." in texts(report)
    assert "Images analysed: 1 of 2." in texts(report)


def test_images_the_model_abstains_on_make_it_partial():
    content = lung([STILL, CLIP])
    unsure = dataclasses.replace(content.images[0], is_assessable=False)
    content = dataclasses.replace(content, images=(unsure, content.images[1]))
    report = build(content, STILL, CLIP)
    assert report.CompletionFlag == "PARTIAL"
    assert "Image 1 = series 1, image 1; not assessable, says nothing." in texts(report)


def test_nothing_analysed_is_indeterminate_never_negative():
    findings = tuple(Finding(c, 0.0, State.INDETERMINATE, 0.5) for c in LUNG)
    content = dataclasses.replace(lung([STILL]), images=(), skipped=(skipped(STILL),), findings=findings)
    report = build(content, STILL)
    answers = named(report, "C0034375")[0].ContentSequence[1:5]
    assert {item.ConceptCodeSequence[0].CodeMeaning for item in answers} == {"Indeterminate"}
    assert "NO IMAGE COULD BE ASSESSED. This is not a negative result." in texts(report)
    assert report.CompletionFlag == "PARTIAL"
    assert len(named(report, "126200")[0].ContentSequence) == 1
    assert not named(report, "126010")


def test_a_revision_names_its_predecessor():
    content = dataclasses.replace(lung([STILL]), predecessor=Reference(SR_CLASSES[1], "2.25.7", "2.25.8"))
    (study,) = build(content, STILL).PredecessorDocumentsSequence
    assert study.StudyInstanceUID == STILL.StudyInstanceUID
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.8"
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.7"


def test_chinese_is_stated_and_used():
    report = dcmread(DicomBytesIO(part10(build(lung([STILL, CLIP], "zh"), STILL, CLIP))))
    assert named(report, "121049")[0].ConceptCodeSequence[0].CodeValue == "zh-CN"
    said = texts(report)
    assert said[0].startswith("人工智能生成的结果，未经医师审核。")
    assert named(report, "BLINE")[0].ConceptCodeSequence[0].CodeMeaning == "存在"
    assert named(report, "112039")[1].TextValue == "图像2第1帧"
    english = [text for text in said if not any("\u4e00" <= ch <= "\u9fff" for ch in text)]
    assert english == []


def test_the_demonstration_model_says_what_it_is():
    content = lung([STILL])
    assert "DEMONSTRATION MODEL" in texts(build(content, STILL))[0]
    research = dataclasses.replace(content.analysis.model, grade="research")
    content = dataclasses.replace(content, analysis=dataclasses.replace(content.analysis, model=research))
    assert "DEMONSTRATION" not in texts(build(content, STILL))[0]


def test_mixed_patients_are_refused_without_naming_them():
    other = source(2, PatientID="PID-2")
    with pytest.raises(InputError) as caught:
        build(lung([STILL, other]), STILL, other)
    assert caught.value.reason == "mixed_patient"
    assert "PID" not in str(caught.value)


def test_mixed_studies_are_refused():
    with pytest.raises(InputError):
        build(lung([STILL, CLIP]), STILL, source(2, frames=30, StudyInstanceUID="1.2.3"))


def test_a_missing_header_is_refused():
    with pytest.raises(ValueError, match="1 of 2 headers are missing"):
        build(lung([STILL, CLIP]), STILL)


def test_regions_and_frames_outside_the_image_are_refused():
    content = lung([CLIP])
    image = content.images[0]
    for frame in (
        KeyFrame(31, image.probabilities),
        KeyFrame(1, image.probabilities, (("b_lines", ((600.0, 1.0), (650.0, 1.0), (650.0, 9.0), (600.0, 1.0))),)),
    ):
        wrong = dataclasses.replace(content, images=(dataclasses.replace(image, key_frames=(frame,)),))
        with pytest.raises(ValueError, match="outside"):
            build(wrong, CLIP)


@pytest.mark.parametrize("p", [float("nan"), 1.2, -0.1])
def test_what_is_no_probability_is_refused(p):
    content = lung([STILL])
    frame = KeyFrame(None, (p, 0.1, 0.1, 0.1))
    wrong = dataclasses.replace(content, images=(dataclasses.replace(content.images[0], key_frames=(frame,)),))
    with pytest.raises(ValueError, match="probability"):
        build(wrong, STILL)


def test_a_card_that_codes_a_class_otherwise_is_refused():
    content = lung([STILL])
    model = content.analysis.model
    classes = (dataclasses.replace(model.classes[0], value="AL"), *model.classes[1:])
    analysis = dataclasses.replace(content.analysis, model=dataclasses.replace(model, classes=classes))
    with pytest.raises(CardMismatch, match="a_lines"):
        build(dataclasses.replace(content, analysis=analysis), STILL)
