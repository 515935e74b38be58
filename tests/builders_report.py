"""Synthetic source headers and report contents for the tests of `dicom_ai.report`."""

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO

from dicom_ai.finding import Finding, State
from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.kept import CropOutcome, Kept, Polygon, mask_of
from dicom_ai.report.code import CLASSES
from dicom_ai.report.content import (
    Analysis,
    CaptureLink,
    ClassFacts,
    ImageContent,
    KeyFrame,
    ModelFacts,
    Reference,
    ReportContent,
    Skipped,
)
from dicom_ai.report.structured import SR_CLASSES, structured_report

TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber",
)  # fmt: skip
NAMESPACE = "6f1c2b0e-installed-site"
STUDY = "1.2.826.0.1.3680043.10.9999.1"
LUNG = ("a_lines", "b_lines", "pleural_effusion", "consolidation")
UTERUS = ("endometrial_polyp", "submucous_fibroid", "normal")
PRESENT, ABSENT = State.PRESENT, State.ABSENT


def source(number: int, frames: int = 1, rows: int = 480, columns: int = 640, **values: object) -> Dataset:
    """Header of an ultrasound still or clip; a value of None takes the attribute out."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = US_IMAGE if frames == 1 else US_MULTI_FRAME
    ds.SOPInstanceUID = f"{STUDY}.1.{number}"
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = f"{STUDY}.1"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Muster^Erika", "PID-1", "19700102", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260102", "101500", "77", "ACC-9"
    ds.ReferringPhysicianName = "Haus^Gregor"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", "GE Healthcare", "LOGIQ E9"
    ds.SeriesNumber, ds.InstanceNumber = 1, number
    ds.ContentDate, ds.ContentTime = "20260102", "101600"
    ds.Rows, ds.Columns = rows, columns
    if frames > 1:
        ds.NumberOfFrames, ds.FrameTime = frames, "33.3"
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def analysis(task: str = "lung-signs", language: str = "en", grade: str = "demonstration") -> Analysis:
    ids = LUNG if task == "lung-signs" else UTERUS
    classes = tuple(ClassFacts(i, CLASSES[i].finding.value, CLASSES[i].finding.scheme, 0.5) for i in ids)
    model = ModelFacts(
        name="demo-lung" if task == "lung-signs" else "demo-uterus",
        version="1.0",
        card_digest="c0ffee" * 10 + "abcd",
        weights_digest="0123456789abcdef" * 4,
        task=task,
        grade=grade,
        head="sigmoid" if task == "lung-signs" else "softmax",
        classes=classes,
        crop="scan_area",
        input_size=224,
        resize="letterbox",
        frame_to_clip="top_third_mean" if task == "lung-signs" else "mean",
        clip_to_study="max" if task == "lung-signs" else "least_normal",
        abstain="assessability_output",
        assessable_from=0.5,
    )
    return Analysis(
        namespace=NAMESPACE,
        key="ab" * 32,
        language=language,  # type: ignore[arg-type]
        content_time="2026-01-02T10:17:00",
        software_version="0.1.0",
        serial="site-4711",
        station="DICOM_AI",
        revision=1,
        model=model,
    )


BOX = (100, 60, 500, 400)
REGION = ((150.0, 100.0), (250.0, 100.0), (250.0, 220.0), (150.0, 220.0), (150.0, 100.0))


def image(
    header: Dataset, probabilities: tuple[float, ...], *, shown: str = "", assessable: bool = True
) -> ImageContent:
    frames = int(header.get("NumberOfFrames", 1))
    numbers = (None,) if frames == 1 else tuple(sorted({1, frames}))
    regions = ((shown, REGION),) if shown else ()
    keys = tuple(KeyFrame(n, probabilities, regions) for n in numbers)
    return ImageContent(
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        frames=frames,
        analysed_frames=min(frames, 16),
        rows=int(header.Rows),
        columns=int(header.Columns),
        box=BOX,
        is_assessable=assessable,
        probabilities=probabilities,
        key_frames=keys,
    )


def lung(headers: list[Dataset], language: str = "en", skipped: tuple[Skipped, ...] = ()) -> ReportContent:
    """B-lines and effusion present; the last header's image is the one that shows them."""
    quiet, loud = (0.12, 0.07, 0.03, 0.0801), (0.02, 0.9312, 0.7145, 0.08)
    images = tuple(
        image(h, loud if h is headers[-1] else quiet, shown="b_lines" if h is headers[-1] else "") for h in headers
    )
    states = (ABSENT, PRESENT, PRESENT, ABSENT)
    ps = (0.12, 0.9312, 0.7145, 0.0801)
    findings = tuple(Finding(c, p, s, 0.5) for c, p, s in zip(LUNG, ps, states, strict=True))
    return ReportContent(analysis("lung-signs", language), findings, images, skipped)


def uterus(headers: list[Dataset], language: str = "en") -> ReportContent:
    """A polyp."""
    ps = (0.81, 0.12, 0.07)
    images = tuple(image(h, ps, shown="endometrial_polyp") for h in headers)
    findings = tuple(Finding(c, p, s, 0.5) for c, p, s in zip(UTERUS, ps, (PRESENT, ABSENT, ABSENT), strict=True))
    return ReportContent(analysis("uterine-lesions", language), findings, images)


def sector(rows: int, columns: int, half: float = 35.0) -> Polygon:
    """A curvilinear sector that leaves the corners and a strip above and below free."""
    radius, x, y = 0.8 * rows, columns / 2, 0.02 * rows
    angles = np.radians(np.arange(-half, half + 1, 5))
    inner = [(x + 0.15 * radius * np.sin(a), y + 0.15 * radius * np.cos(a)) for a in angles]
    outer = [(x + radius * np.sin(a), y + radius * np.cos(a)) for a in angles[::-1]]
    return tuple((float(px), float(py)) for px, py in [*inner, *outer])


def kept(
    header: Dataset, polygon: Polygon, numbers: tuple[int, ...] = (1,), *, seed: int = 0, channels: int = 1
) -> Kept:
    """Speckle inside `polygon`, cropped to its box."""
    rows, columns = int(header.Rows), int(header.Columns)
    mask = mask_of((polygon,), rows, columns)
    ys, xs = np.nonzero(mask)
    x0, y0, x1, y1 = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
    rng = np.random.default_rng(seed)
    noise = rng.rayleigh(60, (len(numbers), y1 - y0, x1 - x0)).clip(1, 255)
    frames = np.stack([cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 2) for frame in noise]).astype(np.uint8)
    frames = np.repeat((frames * mask[y0:y1, x0:x1])[..., None], channels, axis=3)
    n = int(header.get("NumberOfFrames", 1))
    outcome = CropOutcome("cropped", None, rows, columns, n, (polygon,), (), (x0, y0, x1, y1))
    return Kept(frames, numbers, outcome)


def spot(crop: Kept, x: float, y: float, sigma: float) -> npt.NDArray[np.uint8]:
    """A round spot of heat at x, y of the crop, the same in every frame."""
    t, h, w, _ = crop.frames.shape
    yy, xx = np.mgrid[:h, :w]
    heat = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))
    return np.repeat(np.where(heat < 2, 0, heat).astype(np.uint8)[None], t, axis=0)


def linked(content: ReportContent, capture: Dataset, number: int, class_id: str | None) -> ReportContent:
    """`content` with `capture` as the heatmap of its image `number` (from 0)."""
    frames = capture.SourceImageSequence[0].get("ReferencedFrameNumber")
    reference = Reference(str(capture.SOPClassUID), str(capture.SOPInstanceUID), str(capture.SeriesInstanceUID))
    link = CaptureLink(reference, class_id, tuple(int(n) for n in frames) if frames else ())
    images = list(content.images)
    images[number] = dataclasses.replace(images[number], captures=(link,))
    return dataclasses.replace(content, images=tuple(images))


def build(content: ReportContent, *headers: Dataset, sop_class: str = SR_CLASSES[0]) -> Dataset:
    """The report without captures."""
    return structured_report(content, headers, [], sop_class=sop_class)


def walk(item: Dataset) -> Iterator[Dataset]:
    """The item and all below it, in order."""
    yield item
    for child in item.get("ContentSequence", []):
        yield from walk(child)


def named(item: Dataset, value: str) -> list[Dataset]:
    """All items below whose concept name has this code value."""
    return [
        child
        for child in walk(item)
        if "ConceptNameCodeSequence" in child and child.ConceptNameCodeSequence[0].CodeValue == value
    ]


def texts(report: Dataset) -> list[str]:
    """All comments."""
    return [str(item.TextValue) for item in named(report, "121106")]


def skipped(header: Dataset, reason: str = "no_regions") -> Skipped:
    """An image that was not analysed."""
    return Skipped(str(header.SOPClassUID), str(header.SOPInstanceUID), reason)


def read_back(header: Dataset) -> Dataset:
    """As it comes from a file: bytes not yet decoded."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    header.save_as(buffer, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    return dcmread(buffer, force=True)
