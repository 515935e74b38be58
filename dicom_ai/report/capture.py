"""Heatmap Secondary Captures: pictures of the analysed frames become an SC Image (still) or a Multi-frame True Color
SC Image (clip) in the source's study.

The warning is drawn into the pixels and identifies nobody, so Burned In Annotation is NO: YES would stop the capture
in privacy filters. What this is not: an acquisition; it carries no calibration and no frame of reference.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import simplejpeg
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.kept import Box
from dicom_ai.report.code import CLASS_ACTIVATION, SOURCE_FOR_PROCESSING, class_terms
from dicom_ai.report.content import Analysis
from dicom_ai.report.header import (
    MODEL_NAME,
    SERIES_NUMBER_CAPTURES,
    algorithm,
    code_item,
    file_meta,
    scanner,
    set_equipment,
    set_times,
)
from dicom_ai.report.patient_study import copy_patient_and_study
from dicom_ai.report.uid import result_uid
from dicom_ai.report.wording import say

Encoding = Literal["jpeg", "raw"]
QUALITY = 90

_DEFAULT_FRAME_TIME_MS = 40.0  # only how fast a viewer plays, where the source states no speed
_UNPAIRED = ("CHEST", "ABDOMEN", "PELVIS", "UTERUS", "HEART")
_BODY_PART = {"lung-signs": "CHEST", "uterine-lesions": "UTERUS"}
_LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.100": "ISO_13818_2",
    "1.2.840.10008.1.2.4.101": "ISO_13818_2",
    "1.2.840.10008.1.2.4.102": "ISO_14496_10",
    "1.2.840.10008.1.2.4.103": "ISO_14496_10",
}


@dataclass(frozen=True)
class Shown:
    """What a capture shows.

    Attributes:
        frames: RGB, uint8 (T, rows, columns, 3), of `overlay.full_frames`; twice the columns side by side.
        frame_numbers: the T source frame numbers, one-based.
        class_id: whose heat is drawn, None when none is.
        index: of the capture within the analysis, from 0.
        box: where the crop lies in the source, half open.
    """

    frames: npt.NDArray[np.uint8]
    frame_numbers: tuple[int, ...]
    class_id: str | None
    index: int
    box: Box


def capture_class(source: Dataset) -> str:
    """SOP Class UID of the capture of a source: multi-frame for a clip."""
    is_clip = _frames(source) > 1
    return str(MultiFrameTrueColorSecondaryCaptureImageStorage if is_clip else SecondaryCaptureImageStorage)


def capture(analysis: Analysis, source: Dataset, shown: Shown, *, encoding: Encoding = "jpeg") -> Dataset:
    """Build the capture of one analysed image.

    Args:
        analysis: who says it.
        source: header of the source image, with its File Meta Information if lossy history is to be known.
        shown: the pictures.
        encoding: of a clip, JPEG Baseline or raw; a still is always raw.

    Returns:
        A data set with File Meta Information: Explicit VR Little Endian, or JPEG Baseline for a clip.

    Raises:
        ValueError: the pictures do not fit the source.
    """
    sop_class = capture_class(source)
    is_clip = sop_class == MultiFrameTrueColorSecondaryCaptureImageStorage
    is_jpeg = is_clip and encoding == "jpeg"
    is_beside = analysis.rendering.is_beside(shown.class_id)
    _check(source, shown, is_clip=is_clip, is_beside=is_beside)
    ds = Dataset()
    copy_patient_and_study(source, ds)
    ds.SOPClassUID = sop_class
    kind = "capture" if is_jpeg or not is_clip else "capture-raw"
    # The analysis key says it as well; a name of its own cannot be forgotten by whoever makes that key.
    kind = f"{kind} {analysis.rendering.name}"
    ds.SOPInstanceUID = result_uid(analysis.namespace, analysis.key, kind, sop_class, shown.index)
    set_times(ds, analysis, source)
    set_equipment(ds, analysis)
    _series_and_image(ds, analysis, source, shown)
    _sources(ds, source, shown, is_clip=is_clip)
    # Side by side, the heated half does not lie where its source does.
    ds.SourceImageSequence[0].SpatialLocationsPreserved = "NO" if is_beside else "YES"
    equipment = [scanner(source), algorithm(analysis, source)]
    ds.ContributingEquipmentSequence = [item for item in equipment if item is not None]
    if is_clip:
        _clip(ds, source, shown)
    _pixels(ds, source, shown.frames, is_jpeg=is_jpeg)
    ds.file_meta = file_meta(ds, JPEGBaseline8Bit if is_jpeg else ExplicitVRLittleEndian)
    ds.preamble = b"\0" * 128
    return ds


def _check(source: Dataset, shown: Shown, *, is_clip: bool, is_beside: bool) -> None:
    size = (int(source.Rows), int(source.Columns) * (1 + is_beside), 3)
    if shown.frames.dtype != np.uint8 or shown.frames.shape != (len(shown.frame_numbers), *size):
        raise ValueError(f"pictures are {shown.frames.shape}, the source has {len(shown.frame_numbers)} x {size}")
    if not is_clip and len(shown.frames) != 1:
        raise ValueError("a still has one picture")
    if not all(1 <= number <= _frames(source) for number in shown.frame_numbers):
        raise ValueError("a frame number lies outside the clip")


def _series_and_image(ds: Dataset, analysis: Analysis, source: Dataset, shown: Shown) -> None:
    language, model = analysis.language, analysis.model
    ds.SeriesInstanceUID = result_uid(analysis.namespace, analysis.key, "capture-series", "", 0)
    ds.SeriesNumber = SERIES_NUMBER_CAPTURES
    ds.SeriesDescription = say("capture_series", language)
    # OT: a capture is no acquisition, so that routing by modality does not send it round as one.
    ds.Modality = "OT"
    _body_part(ds, analysis, source)
    ds.ConversionType = "WSD"
    ds.SecondaryCaptureDeviceManufacturer = OUR_MANUFACTURER
    ds.SecondaryCaptureDeviceManufacturerModelName = MODEL_NAME
    ds.SecondaryCaptureDeviceSoftwareVersions = analysis.software_version
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.PatientOrientation = ""
    ds.InstanceNumber = shown.index + 1
    named = {"model": model.name, "version": model.version}
    if shown.class_id is None:
        derived = say("derivation_none", language, **named)
    else:
        names = class_terms(shown.class_id).name(language)
        derived = say("derivation", language, names=names, **named)
        ds.DerivationCodeSequence = [code_item(CLASS_ACTIVATION)]
    x0, y0, x1, y1 = shown.box
    ds.DerivationDescription = say(
        "crop_origin", language, derived=derived, x0=x0, y0=y0, x1=x1, y1=y1, rows=source.Rows, columns=source.Columns
    )
    ds.ImageComments = say("band", language)
    ds.BurnedInAnnotation = "NO"
    ds.RecognizableVisualFeatures = "NO"


def _body_part(ds: Dataset, analysis: Analysis, source: Dataset) -> None:
    """An unpaired region needs no laterality; scanners often send none of the two."""
    stated = str(source.get("BodyPartExamined") or "").strip().upper()
    side = str(source.get("ImageLaterality") or source.get("Laterality") or "").strip().upper()
    if stated in _UNPAIRED or (stated and side in ("L", "R")):
        ds.BodyPartExamined = stated
        if stated not in _UNPAIRED:
            ds.Laterality = side
    else:
        ds.BodyPartExamined = _BODY_PART[analysis.model.task]


def _sources(ds: Dataset, source: Dataset, shown: Shown, *, is_clip: bool) -> None:
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    if is_clip:
        item.ReferencedFrameNumber = list(shown.frame_numbers)
    item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_FOR_PROCESSING)]
    ds.SourceImageSequence = [item]
    instance = Dataset()
    instance.ReferencedSOPClassUID = source.SOPClassUID
    instance.ReferencedSOPInstanceUID = source.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedInstanceSequence = [instance]
    ds.ReferencedSeriesSequence = [series]


def _clip(ds: Dataset, source: Dataset, shown: Shown) -> None:
    """Play at the source's speed: an analysed frame stays as long as the frames up to the next analysed one."""
    numbers = shown.frame_numbers
    stride = (numbers[-1] - numbers[0]) / (len(numbers) - 1) if len(numbers) > 1 else 1.0
    ds.NumberOfFrames = len(numbers)
    ds.FrameTime = f"{stride * _frame_time_ms(source):.6g}"
    ds.FrameIncrementPointer = 0x00181063  # Frame Time


def _frame_time_ms(source: Dataset) -> float:
    vector = [float(ms) for ms in source.get("FrameTimeVector") or []]
    cine = float(source.get("CineRate") or source.get("RecommendedDisplayFrameRate") or 0)
    stated = float(source.get("FrameTime") or 0)
    # The first entry of the vector belongs to the first frame and is zero.
    average = sum(vector[1:]) / (len(vector) - 1) if len(vector) > 1 else 0.0
    return stated or average or (1000.0 / cine if cine > 0 else _DEFAULT_FRAME_TIME_MS)


def _pixels(ds: Dataset, source: Dataset, frames: npt.NDArray[np.uint8], *, is_jpeg: bool) -> None:
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    ds.Rows, ds.Columns = frames.shape[1:3]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ratios, methods = _lossy_history(source)
    if is_jpeg:
        ds.PhotometricInterpretation = "YBR_FULL_422"
        encoded = [
            simplejpeg.encode_jpeg(np.ascontiguousarray(f), QUALITY, colorspace="RGB", colorsubsampling="422")
            for f in frames
        ]
        ds.PixelData = encapsulate(encoded)
        ds["PixelData"].VR = "OB"
        ratios = [*ratios, f"{frames.nbytes / sum(len(e) for e in encoded):.2f}"]
        # Ratio and method go in pairs; a loss whose ratio nobody stated cannot be listed before ours.
        methods = [*(methods if len(methods) < len(ratios) else []), "ISO_10918_1"]
    else:
        ds.PhotometricInterpretation = "RGB"
        raw = frames.tobytes()
        ds.PixelData = raw + b"\0" * (len(raw) % 2)
        ds["PixelData"].VR = "OB"
    if ratios or methods:
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionMethod = methods
        if ratios:
            ds.LossyImageCompressionRatio = ratios
    else:
        ds.LossyImageCompression = "00"


def _lossy_history(source: Dataset) -> tuple[list[str], list[str]]:
    """Ratios and methods of the losses the source has been through already; both the same length or ratios empty."""
    syntax = str(getattr(source, "file_meta", Dataset()).get("TransferSyntaxUID") or "")
    stated = str(source.get("LossyImageCompression") or "") == "01"
    if not stated and syntax not in _LOSSY:
        return [], []
    methods = _many(source, "LossyImageCompressionMethod") or [_LOSSY.get(syntax, "ISO_10918_1")]
    ratios = _many(source, "LossyImageCompressionRatio")
    return (ratios if len(ratios) == len(methods) else []), methods


def _many(source: Dataset, keyword: str) -> list[str]:
    value = source.get(keyword)
    if value in (None, ""):
        return []
    return [str(v) for v in value] if isinstance(value, (list, tuple)) or hasattr(value, "append") else [str(value)]


def _frames(source: Dataset) -> int:
    return int(source.get("NumberOfFrames") or 1)
