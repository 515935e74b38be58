"""Whether each value of a written file is what the published list says of it; read from the bytes themselves."""

import re
import struct
from math import isfinite

from pydicom.dataset import Dataset

from dicom_ai.crop.export.attributes import LISTED, Attribute
from dicom_ai.crop.export.build import Site, replaced
from dicom_ai.crop.export.pseudonym import stated
from dicom_ai.crop.export.walk import Found
from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.kept import Kept

_BINARY = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "FL": "<f", "FD": "<d"}
_MAY_BE_EMPTY = frozenset({"SeriesNumber", "InstanceNumber"})
_KEYED = re.compile(r"2\.25\.[0-9]{1,39}|P[0-9A-F]{16}")
_DECIMAL = re.compile(r"[-+0-9.eE]+")
_CORNERS = tuple(f"RegionLocation{name}" for name in ("MinX0", "MinY0", "MaxX1", "MaxY1"))


def attribute_of(path: tuple[int, ...]) -> Attribute | None:
    """The entry of the list for an element, or None: then it may not be there."""
    attribute = LISTED.get(path[0])
    for tag in path[1:]:
        attribute = next((one for one in attribute.items if one.tag == tag), None) if attribute else None
    return attribute


def text_of_value(data: bytes, one: Found) -> str:
    """A value field as text: numbers of binary VRs in decimal, tags in hexadecimal, values joined by a backslash."""
    raw = data[one.begin : one.end]
    if one.vr in _BINARY:
        form = _BINARY[one.vr]
        if len(raw) % struct.calcsize(form):
            return "?"
        return "\\".join(repr(value) for (value,) in struct.iter_unpack(form, raw))
    if one.vr == "AT":
        return "\\".join(f"{group:04X}{element:04X}" for group, element in struct.iter_unpack("<HH", raw))
    return raw.decode("latin-1").strip(" \0")


def hold(data: bytes, found: list[Found], source: Dataset, kept: Kept, site: Site) -> str | None:
    """Compare every value with what it may be.

    Returns:
        None when all hold; "value" when one is another than it may be; "not_replaced" when one is the source's own.
    """
    expected = replaced(source, kept, site) | _computed(found, kept)
    for one in found:
        attribute = attribute_of(one.path)
        if attribute is None or attribute.how == "items" or attribute.keyword == "PixelData":
            continue
        text = text_of_value(data, one)
        if attribute.how in {"keyed", "shifted"} and _is_sources_own(attribute, text, source):
            return "not_replaced"
        if not _holds(attribute, text, expected, kept):
            return "value"
    return None


def _holds(attribute: Attribute, text: str, expected: dict[str, str], kept: Kept) -> bool:
    keyword = attribute.keyword
    if attribute.how == "constant":
        return text == attribute.values[0].strip(" \0")
    if attribute.how == "closed":
        return text in attribute.values or all(part in attribute.values for part in text.split("\\"))
    if attribute.how == "number":
        return (not text and keyword in _MAY_BE_EMPTY) or all(_is_within(part, attribute) for part in text.split("\\"))
    if attribute.how == "keyed" and not _KEYED.fullmatch(text):
        return False
    if keyword in _CORNERS:
        return text.isdigit() and int(text) < kept.frames.shape[2 if "X" in keyword else 1]
    if keyword == "FileMetaInformationGroupLength":
        return True  # the walk has counted it
    return text == expected.get(keyword, "")


def _is_within(part: str, attribute: Attribute) -> bool:
    try:
        value = float(part)
    except ValueError:
        return False
    return (
        isfinite(value)
        and attribute.least <= value <= attribute.most
        and re.fullmatch(r"[-+0-9.eE]+", part) is not None
    )


def _is_sources_own(attribute: Attribute, text: str, source: Dataset) -> bool:
    """Times are left out: a shifted one may be the same by chance."""
    keyword = attribute.keyword.removeprefix("MediaStorage")
    return bool(text) and attribute.vr != "TM" and text == stated(source, keyword)


def _computed(found: list[Found], kept: Kept) -> dict[str, str]:
    frames, rows, columns, samples = kept.frames.shape
    sop_class = US_MULTI_FRAME if frames > 1 else US_IMAGE
    timing = [one.path[0] for one in found if one.path in {(0x00181063,), (0x00181065,)}]  # Frame Time and its Vector
    return {
        "SOPClassUID": sop_class, "MediaStorageSOPClassUID": sop_class,
        "Rows": str(rows), "Columns": str(columns), "SamplesPerPixel": str(samples),
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "PlanarConfiguration": "0", "BitsAllocated": "8", "BitsStored": "8", "HighBit": "7", "PixelRepresentation": "0",
        "NumberOfFrames": str(frames), "FrameIncrementPointer": f"{timing[0]:08X}" if len(timing) == 1 else "?",
    }  # fmt: skip
