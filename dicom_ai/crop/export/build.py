"""An exported object from nothing: an empty data set, attributes of the published list, the kept pixels.

The source is read, never copied. Pixels are written uncompressed, Explicit VR Little Endian: every reader opens it
without a codec, equal pixels give equal bytes, and the proof sees each pixel where it lies.
"""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_ai.crop.export.attributes import CODES, IMPLEMENTATION, MAIN, Attribute
from dicom_ai.crop.export.numbers import number, numbers_of, word, written
from dicom_ai.crop.export.pseudonym import Pseudonyms, device, replacements, stated
from dicom_ai.crop.export.regions import rebased
from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.kept import CropOutcome, Kept, Mask, mask_of

VERSION = 1
"""Of the exported form. Another version makes other instances of the same sources."""

_LIST = {one.keyword: one for one in MAIN}
_LOSSY = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1", "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1", "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}" for n in ("100", "100.1", "101", "101.1")), "ISO_13818_2"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{n}{s}" for n in range(102, 107) for s in ("", ".1")), "ISO_14496_10"),
    **dict.fromkeys(("1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108"), "ISO_23008_2"),
}  # fmt: skip
"""Transfer syntaxes that lose, and their method (PS3.3 C.7.6.1.1.5.1)."""


_TYPE_2 = ("StudyDate", "StudyTime", "SeriesNumber", "InstanceNumber", "Laterality")
"""There without a value where the source has none that may be kept; the other type 2 attributes are always empty."""


@dataclass(frozen=True)
class Site:
    """What an export needs to know of the place it is made at.

    Attributes:
        keys: pseudonyms by the site's secret.
        known: makers and models of the published layout catalogue, which may stand in an exported object.
    """

    keys: Pseudonyms
    known: frozenset[tuple[str, str]] = frozenset()


def surviving(outcome: CropOutcome) -> Mask:
    """Bool (rows, columns): which pixels of the full frame an outcome lets through."""
    mask = mask_of(outcome.keep, outcome.rows, outcome.columns)
    for x0, y0, x1, y1 in outcome.blanked:
        mask[y0:y1, x0:x1] = False
    return mask


def mask_digest(outcome: CropOutcome) -> str:
    """SHA-256 of what survives: rows and columns as text, then the mask row by row, eight pixels to a byte."""
    digest = hashlib.sha256(f"{outcome.rows} {outcome.columns} ".encode())
    digest.update(np.packbits(surviving(outcome)).tobytes())
    return digest.hexdigest()


def replaced(source: Dataset, kept: Kept, site: Site) -> dict[str, str]:
    """Every keyed and shifted value of the object made of `source` and `kept`; see `pseudonym.replacements`."""
    named = device(source, site.keys, site.known)  # a device that the catalogue has learnt to know is another instance
    digest = hashlib.sha256(
        f"{VERSION} {kept.frames.shape} {mask_digest(kept.outcome)} {sorted(named.items())}".encode()
    )
    digest.update(np.ascontiguousarray(kept.frames).data)
    return replacements(source, site.keys, digest.hexdigest()) | named


def build(source: Dataset, kept: Kept, site: Site) -> bytes:
    """The exported object.

    Args:
        source: header as received, with file meta information; its pixels are not looked at.
        kept: every frame of the source.
        site: pseudonyms and known devices.

    Returns:
        A DICOM file (PS3.10). Equal arguments give equal bytes.

    Raises:
        UnreadableInstance: the source does not say which instance, series or study it is.
        ValueError: `kept` does not hold every frame.
    """
    if kept.frame_numbers != tuple(range(1, kept.outcome.frames + 1)) or kept.outcome.box is None:
        raise ValueError("an export holds every frame of its source")
    values = _constants() | replaced(source, kept, site)
    values |= _descriptions(source) | _lossy(source) | _pixels(kept)
    if len(kept.frames) > 1:
        values |= _timing(source, len(kept.frames))
    regions = rebased(source, kept.outcome.box)
    if regions:
        values["SequenceOfUltrasoundRegions"] = regions
    return _written(values)


def _constants() -> dict[str, Any]:
    values: dict[str, Any] = {one.keyword: one.values[0] for one in MAIN if one.how == "constant"}
    values |= {one.keyword: "" for one in MAIN if one.how == "empty"}
    values |= dict.fromkeys(_TYPE_2, "")
    values["DeidentificationMethodCodeSequence"] = [_code(*code) for code in CODES]
    return values


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _descriptions(source: Dataset) -> dict[str, Any]:
    """Words of closed lists and numbers within bounds; what is neither is empty where it must be there, else absent."""
    second = [*stated(source, "ImageType").split("\\"), ""][1]
    values: dict[str, Any] = {"ImageType": ["DERIVED", "SECONDARY" if second == "SECONDARY" else "PRIMARY"]}
    values |= _taken(source, ("SeriesNumber", "InstanceNumber", "UltrasoundColorDataPresent"))
    for keyword in ("BodyPartExamined", "Laterality"):
        found = word(source, _LIST[keyword])
        if found:
            values[keyword] = found
    return values


def _timing(source: Dataset, frames: int) -> dict[str, Any]:
    """When each frame was taken (PS3.3 C.7.6.5): a vector that fits, else one frame time, else from a stated rate."""
    values = _taken(
        source, ("CineRate", "RecommendedDisplayFrameRate", "FrameDelay", "ActualFrameDuration", "EffectiveDuration")
    )
    vector = numbers_of(source, _LIST["FrameTimeVector"])
    frame_time = number(source, _LIST["FrameTime"])
    rate = number(source, _LIST["CineRate"]) or number(source, _LIST["RecommendedDisplayFrameRate"])
    if vector is not None and len(vector) == frames and not frame_time:
        return values | {"FrameTimeVector": written(vector, "DS"), "FrameIncrementPointer": Tag("FrameTimeVector")}
    if not frame_time:
        frame_time = round(1000 / rate, 3) if rate else 0.0  # 0: unknown; the pointer must point at something
    return values | {"FrameTime": written([frame_time], "DS"), "FrameIncrementPointer": Tag("FrameTime")}


def _lossy(source: Dataset) -> dict[str, Any]:
    """Once lossy, always said so (PS3.3 C.7.6.1.1.5), with the history as far as it is stated and can be believed."""
    syntax = str(getattr(source, "file_meta", Dataset()).get("TransferSyntaxUID", ""))
    said = word(source, _LIST["LossyImageCompression"])
    if said != "01" and syntax not in _LOSSY:
        return {} if not said else {"LossyImageCompression": said}
    values: dict[str, Any] = {"LossyImageCompression": "01"}
    ratios = numbers_of(source, _LIST["LossyImageCompressionRatio"])
    methods = [one.strip() for one in stated(source, "LossyImageCompressionMethod").split("\\")]
    is_listed = all(one in _LIST["LossyImageCompressionMethod"].values for one in methods)
    if is_listed and ratios is not None and len(ratios) == len(methods):
        values["LossyImageCompressionRatio"] = written(ratios, "DS")
        values["LossyImageCompressionMethod"] = methods
    elif syntax in _LOSSY and not is_listed:
        values["LossyImageCompressionMethod"] = [_LOSSY[syntax]]
    return values


def _pixels(kept: Kept) -> dict[str, Any]:
    frames, rows, columns, samples = kept.frames.shape
    raw = np.ascontiguousarray(kept.frames).tobytes()
    values: dict[str, Any] = {
        "SOPClassUID": US_MULTI_FRAME if frames > 1 else US_IMAGE,
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "Rows": rows, "Columns": columns,
        "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
        "PixelData": raw + b"\0" * (len(raw) % 2),
    }  # fmt: skip
    if samples == 3:
        values["PlanarConfiguration"] = 0
    if frames > 1:
        values["NumberOfFrames"] = frames
    return values


def _taken(source: Dataset, keywords: tuple[str, ...]) -> dict[str, Any]:
    found = {keyword: number(source, _LIST[keyword]) for keyword in keywords}
    return {keyword: written([value], _LIST[keyword].vr) for keyword, value in found.items() if value is not None}


def _written(values: dict[str, Any]) -> bytes:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(values["SOPClassUID"])
    meta.MediaStorageSOPInstanceUID = UID(values.pop("MediaStorageSOPInstanceUID"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = "DICOM_AI"
    ds = Dataset()
    ds.file_meta = meta
    for keyword, value in values.items():
        attribute: Attribute = _LIST[keyword]  # nothing else can be written
        ds.add_new(attribute.tag, attribute.vr, value)
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()
