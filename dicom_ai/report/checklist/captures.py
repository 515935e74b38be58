"""Point 12: a capture as it must stand in a PACS, from its header and from its source's header.

What this is not: a look at its pixels; what is drawn, and that nothing else is, is shown where pixels are at hand.
"""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEGBaseline8Bit,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from dicom_ai.instance import MULTI_FRAME_CLASSES, OUR_MANUFACTURER
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.complaint import Complaint

CAPTURES = (SecondaryCaptureImageStorage, MultiFrameTrueColorSecondaryCaptureImageStorage)

_STATED = {
    "Modality": "OT",
    "BurnedInAnnotation": "NO",  # the warning identifies nobody; YES would stop it in privacy filters
    "RecognizableVisualFeatures": "NO",
    "ContentQualification": "RESEARCH",
    "PhotometricInterpretation": None,
    "SeriesNumber": None,
    "ConversionType": None,
    "DerivationDescription": None,
    "ImageComments": None,
    "BodyPartExamined": None,  # without one, Laterality is required
    "ContributingEquipmentSequence": None,
    "SourceImageSequence": None,
    "ReferencedSeriesSequence": None,
}
"""Attribute -> the value it must have; None: any but empty."""
_NEVER = ("SequenceOfUltrasoundRegions", "FrameOfReferenceUID", "PixelSpacing", "FrameTimeVector", "PageNumberVector")
_SAME = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber", "StudyID")


def captured(ds: Dataset, others: Mapping[str, Dataset]) -> Iterator[Complaint]:
    """Point 12.

    Args:
        ds: header of a capture.
        others: data sets by SOP Instance UID, its source among them if it is to be compared with.
    """
    for keyword, wanted in _STATED.items():
        if not ds.get(keyword) or (wanted is not None and ds.get(keyword) != wanted):
            yield Complaint(12, f"{keyword} is absent, empty or not as it must be")
    if "PatientOrientation" not in ds or ds.PatientOrientation:
        yield Complaint(12, "PatientOrientation is not present and empty")
    if any(keyword in ds for keyword in _NEVER):
        yield Complaint(12, "a capture carries geometry or timing that is not its own")
    if list(ds.get("ImageType") or [])[:2] != ["DERIVED", "SECONDARY"]:
        yield Complaint(12, "ImageType is not DERIVED and SECONDARY")
    if ds.get("Manufacturer") != OUR_MANUFACTURER:
        yield Complaint(12, "a capture states another maker than ours")
    yield from _profile(ds)
    yield from _lossy(ds)
    yield from _frames(ds)
    for source in ds.get("SourceImageSequence") or []:
        known = others.get(str(source.get("ReferencedSOPInstanceUID") or ""))
        if known is not None:
            yield from _as_source(ds, source, known)


def _profile(ds: Dataset) -> Iterator[Complaint]:
    profile = ds.get("ICCProfile")
    if profile and bytes(profile)[12:16] not in (b"spac", b"scnr"):
        yield Complaint(12, "the ICC profile is of a class that images may not have")


def _lossy(ds: Dataset) -> Iterator[Complaint]:
    """PS3.3 C.7.6.1.1.5: a loss is stated, with as many ratios as methods."""
    is_jpeg = _syntax(ds) == JPEGBaseline8Bit
    methods, ratios = _many(ds, "LossyImageCompressionMethod"), _many(ds, "LossyImageCompressionRatio")
    if ds.get("LossyImageCompression") not in ("00", "01"):
        yield Complaint(12, "LossyImageCompression is absent")
    elif ds.LossyImageCompression == "00" and (is_jpeg or methods or ratios):
        yield Complaint(12, "a lossy capture says that nothing was lost")
    if is_jpeg and (not ratios or not methods or methods[-1] != "ISO_10918_1"):
        yield Complaint(12, "a JPEG capture does not state its ratio and method")
    if ratios and len(ratios) != len(methods):
        yield Complaint(12, "there are not as many lossy ratios as methods")


def _frames(ds: Dataset) -> Iterator[Complaint]:
    is_clip = ds.get("SOPClassUID") == MultiFrameTrueColorSecondaryCaptureImageStorage
    named = [items.reference_frames(source) for source in ds.get("SourceImageSequence") or []]
    if is_clip and (not named or len(named[0]) != int(ds.get("NumberOfFrames") or 0)):
        yield Complaint(12, "a clip has not as many frames as it names of its source")
    if is_clip and (not ds.get("FrameTime") or ds.get("FrameIncrementPointer") != 0x00181063):
        yield Complaint(12, "a clip does not state how fast it plays")
    sources = [source.get("ReferencedSOPClassUID") for source in ds.get("SourceImageSequence") or []]
    if not is_clip and any(len(n) > (kind in MULTI_FRAME_CLASSES) for n, kind in zip(named, sources, strict=True)):
        yield Complaint(12, "a still names frames of a still, or more than one of a clip")


def _as_source(ds: Dataset, named: Dataset, source: Dataset) -> Iterator[Complaint]:
    # Side by side (then nothing lies where its source does) a capture is exactly two pictures wide.
    pictures = 2 if named.get("SpatialLocationsPreserved") == "NO" else 1
    if (ds.get("Rows"), ds.get("Columns")) != (source.get("Rows"), pictures * int(source.get("Columns") or 0)):
        yield Complaint(12, "a capture is not as large as its source")
    if any(_plain(ds, keyword) != _plain(source, keyword) for keyword in _SAME):
        yield Complaint(12, "a capture is of another patient or study than its source")
    frames = items.reference_frames(named)
    if frames and (list(frames) != sorted(set(frames)) or frames[-1] > int(source.get("NumberOfFrames") or 1)):
        yield Complaint(12, "a capture names frames that its source has not")
    before = float(source.get("FrameTime") or 0)
    if len(frames) > 1 and before:
        wanted = before * (frames[-1] - frames[0]) / (len(frames) - 1)
        if abs(float(ds.get("FrameTime") or 0) - wanted) > 0.01 * wanted:
            yield Complaint(12, "a capture plays at another speed than its source")
    lossy = str(source.get("LossyImageCompression") or "") == "01"
    stated = _many(source, "LossyImageCompressionMethod")
    if lossy and (
        ds.get("LossyImageCompression") != "01" or _many(ds, "LossyImageCompressionMethod")[: len(stated)] != stated
    ):
        yield Complaint(12, "what the source lost is not carried on")


def _plain(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").rstrip("^= ")


def _syntax(ds: Dataset) -> str:
    return str(getattr(ds, "file_meta", Dataset()).get("TransferSyntaxUID") or "")


def _many(ds: Dataset, keyword: str) -> list[str]:
    value = ds.get(keyword)
    if value in (None, ""):
        return []
    return [str(v) for v in value] if not isinstance(value, str) and hasattr(value, "__iter__") else [str(value)]
