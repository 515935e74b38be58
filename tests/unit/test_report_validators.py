"""Reports and captures before the validators a PACS team would use. Skipped visibly where a tool is missing."""

import dataclasses
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.commands.validate import findings
from dicom_ai.instance import US_IMAGE_RETIRED, US_MULTI_FRAME_RETIRED
from dicom_ai.kept import sampled_frames
from dicom_ai.report.capture import Encoding, Shown, capture
from dicom_ai.report.content import ReportContent
from dicom_ai.report.header import file_meta, part10
from dicom_ai.report.structured import SR_CLASSES, structured_report
from tests.builders_report import TYPE_2, image, linked, lung, skipped, source, uterus

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "us"
ALLOWED = re.compile(
    r"Unrecognized defined term = <99DICOMAI>"  # every private code
    r"|DeviceUID\(0018,1002\)> - Attribute is not present in standard DICOM IOD"  # asked for by IHE AIR
    r"|Missing attribute or value that would be needed to build DICOMDIR"  # empty Type 2 attributes of the source
)
# dcentvfy counts Accession Number of an image to the series (it knows it from the request attributes).
ENTITY = re.compile(
    r"Different information entities for attribute - Element=<(AccessionNumber|ReferencedStudySequence)>"
)
CASES = [(make, frames) for make in (lung, uterus) for frames in (1, 30)]


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def said(*command: str | Path) -> tuple[int, list[str]]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def pictures(header: Dataset, encoding: Encoding = "jpeg", class_id: str | None = "b_lines") -> Dataset:
    numbers = sampled_frames(int(header.get("NumberOfFrames", 1)), 8)
    frames = np.zeros((len(numbers), int(header.Rows), int(header.Columns), 3), np.uint8)
    what = Shown(frames, numbers, class_id, 0, (0, 0, 9, 9))
    return capture(lung([header]).analysis, header, what, encoding=encoding)


def results(make, header: Dataset, folder: Path, sop_class: str = SR_CLASSES[0]) -> tuple[Path, Path]:
    """SR and capture of one image as files."""
    seen = pictures(header)
    content: ReportContent = linked(make([header]), seen, 0, None)
    if int(header.get("NumberOfFrames", 1)) > 1:  # the key frames must be among the captured ones
        content = linked(make_with_frames(make, header), seen, 0, None)
    report = structured_report(content, [header], [seen], sop_class=sop_class)
    paths = folder / "sr.dcm", folder / "sc.dcm"
    for path, ds in zip(paths, (report, seen), strict=True):
        path.write_bytes(part10(ds))
    return paths


def make_with_frames(make, header: Dataset) -> ReportContent:

    content = make([header])
    last = sampled_frames(int(header.NumberOfFrames), 8)[-1]
    whole = content.images[0]
    keys = (whole.key_frames[0], dataclasses.replace(whole.key_frames[-1], frame_number=last))
    return dataclasses.replace(content, images=(dataclasses.replace(whole, key_frames=keys),))


def complaints(path: Path, allowed: re.Pattern[str] = ALLOWED) -> list[str]:
    tool("dciodvfy")
    return [line for line in findings("dciodvfy", path) if not allowed.search(line)]


@pytest.mark.parametrize("sop_class", SR_CLASSES)
@pytest.mark.parametrize(("make", "frames"), CASES)
def test_dciodvfy_finds_nothing(make, frames, sop_class, tmp_path):
    for path in results(make, source(1, frames=frames), tmp_path, sop_class):
        assert complaints(path) == []


@pytest.mark.parametrize("keyword", TYPE_2)
def test_dciodvfy_finds_nothing_when_the_source_lacks_a_type_2_attribute(keyword, tmp_path):
    for path in results(lung, source(1, **{keyword: None}), tmp_path):
        assert complaints(path) == []


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 192", "Wang^XiaoDong=王^小东"), ("ISO_IR 100", "Müller^Jörg"), ("GB18030", "王^小东")],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_dciodvfy_finds_nothing_whatever_the_script(language, charset, name, tmp_path):
    header = source(1, SpecificCharacterSet=charset, PatientName=name)
    for path in results(lambda headers: lung(headers, language), header, tmp_path):
        assert complaints(path) == []


@pytest.mark.parametrize(
    "values",
    [{"BodyPartExamined": "LUNG", "Laterality": "R"}, {"BodyPartExamined": "CHEST"}, {"BodyPartExamined": "LUNG"},
     {"TimezoneOffsetFromUTC": "-0400"}, {"PatientIdentityRemoved": "YES"}, {"PatientSpeciesDescription": "CANINE"},
     {"LossyImageCompression": "01", "LossyImageCompressionRatio": "9.5", "LossyImageCompressionMethod": "ISO_10918_1"},
     {"SOPClassUID": "retired"}],
    ids=lambda values: "-".join(map(str, values)),
)  # fmt: skip
@pytest.mark.parametrize("frames", [1, 4])
def test_dciodvfy_finds_nothing_with_odd_sources(values, frames, tmp_path):
    allowed = ALLOWED
    if "SOPClassUID" in values:
        # The tool does not know that the retired multi-frame class holds frames.
        allowed = re.compile(ALLOWED.pattern + r"|ReferencedFrameNumber.*SOP Class that is not multi-frame")
        values = {"SOPClassUID": US_IMAGE_RETIRED if frames == 1 else US_MULTI_FRAME_RETIRED}
    for path in results(lung, source(1, frames=frames, **values), tmp_path):
        assert complaints(path, allowed) == []


@pytest.mark.parametrize("frames", [1, 2, 30, 136])
def test_dciodvfy_finds_nothing_in_captures_of_any_length(frames, tmp_path):
    for encoding in ("jpeg", "raw"):
        path = tmp_path / f"{encoding}.dcm"
        path.write_bytes(part10(pictures(source(1, frames=frames, rows=120, columns=160), encoding)))
        assert complaints(path) == []


def test_the_validator_would_notice_a_defect(tmp_path):
    """The other tests here mean nothing unless a broken object is reported."""
    report, seen = results(lung, source(1), tmp_path)
    for path, keyword in ((report, "CompletionFlag"), (seen, "ConversionType")):
        ds = dcmread(path)
        del ds[keyword]
        ds.save_as(path)
        assert any(keyword in line for line in complaints(path))


@pytest.mark.parametrize("sop_class", SR_CLASSES)
def test_dsrdump_reads_the_report(sop_class, tmp_path):
    report, _ = results(lung, source(1, frames=30), tmp_path, sop_class)
    tool("dsrdump")
    assert [line for line in findings("dsrdump", report) if not line.startswith("W:")] == []


def plain_text(report: Path) -> str:
    code, lines = said(tool("dsr2html"), "+U8", report)
    assert code == 0
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", " ".join(lines)))


def test_the_text_a_radiologist_reads(tmp_path):
    report, _ = results(lung, source(1), tmp_path)
    text = plain_text(report)
    places = [
        text.index(phrase)
        for phrase in (
            "AI-GENERATED RESULT, NOT VERIFIED BY A PHYSICIAN",
            "A-lines on lung ultrasound: Absent",
            "B-lines on lung ultrasound: Present",
            "Pleural effusion: Present",
            "Lung consolidation: Absent",
            "Study level (highest image decides each class)",
            "Image Library",
            "Probability of A-lines: 2.00 %",
            "Probability of B-lines: 93.12 %",
            "Probability of pleural effusion: 71.45 %",
            "Probability of lung consolidation: 8.00 %",
            "Certainty of Finding: 93.12 %",
        )
    ]
    assert places == sorted(places)


def test_the_text_of_a_uterus_report_in_chinese(tmp_path):
    report, _ = results(lambda headers: uterus(headers, "zh"), source(1), tmp_path)
    text = plain_text(report)
    for phrase in (
        "未经医师审核",
        "子宫体息肉: 存在",
        "子宫黏膜下平滑肌瘤: 不存在",
        "子宫内膜息肉概率: 81.00 %",
        "正常概率: 7.00 %",
    ):
        assert phrase in text


@pytest.mark.parametrize("frames", [1, 30])
def test_dcentvfy_finds_the_same_patient_and_study_everywhere(frames, tmp_path):
    header = source(1, frames=frames)
    results(lung, header, tmp_path)
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.PixelData = bytes(frames * 480 * 640)
    header["PixelData"].VR = "OB"
    header.file_meta = file_meta(header, "1.2.840.10008.1.2.1")
    (tmp_path / "us.dcm").write_bytes(part10(header))
    tool("dcentvfy")
    assert [line for line in findings("dcentvfy", *sorted(tmp_path.glob("*.dcm"))) if not ENTITY.search(line)] == []


def test_a_report_without_any_analysed_image_is_valid_too(tmp_path):

    header = source(1)
    content = dataclasses.replace(lung([header]), images=(), skipped=(skipped(header),))
    path = tmp_path / "sr.dcm"
    path.write_bytes(part10(structured_report(content, [header], [], sop_class=SR_CLASSES[0])))
    assert complaints(path) == []
    tool("dsrdump")
    assert [line for line in findings("dsrdump", path) if not line.startswith("W:")] == []


@pytest.mark.parametrize("path", sorted(REAL.glob("*.dcm")) or [None], ids=lambda path: path.stem if path else "absent")
def test_dciodvfy_finds_nothing_that_a_real_source_did_not_bring(path, tmp_path):
    if path is None:
        pytest.skip("no real ultrasound objects beside the repository")
    brought = re.compile(
        ALLOWED.pattern + r"|Illegal root for UID = <999\.999|Retired Person Name form|Value is zero"
        r"|</ProcedureCodeSequence.*Unrecognized defined term"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on what old scanners wrote
        header = dcmread(path, stop_before_pixels=True)
        small = image(header, (0.02, 0.9312, 0.7145, 0.08))
    rows, columns = int(header.Rows), int(header.Columns)
    content = lung([source(1)])

    key = dataclasses.replace(small.key_frames[0], regions=())
    small = dataclasses.replace(small, box=(0, 0, columns, rows), key_frames=(key,))
    seen = pictures(header)
    content = linked(dataclasses.replace(content, images=(small,)), seen, 0, None)
    report = structured_report(content, [header], [seen], sop_class=SR_CLASSES[0])
    for name, ds in (("sr", report), ("sc", seen)):
        (tmp_path / f"{name}.dcm").write_bytes(part10(ds))
        assert complaints(tmp_path / f"{name}.dcm", brought) == []
