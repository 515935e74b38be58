"""Ultrasound regions of the cropped picture: the calibration travels, the screen's other regions do not.

A region is moved by the crop's origin and cut to what is left. The reference pixel is counted from the region's
corner (PS3.3 C.8.5.5.1.5), so it moves against the corner and stays on the same spot of the tissue. The physical
deltas stay, as nothing is resampled.
"""

from typing import Any

from pydicom.dataset import Dataset

from dicom_ai.crop.export.attributes import REGION, Attribute
from dicom_ai.crop.export.numbers import number, written
from dicom_ai.kept import Box

_BY_KEYWORD = {one.keyword: one for one in REGION}
_CORNERS = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
_NEEDED = (
    "RegionSpatialFormat", "RegionDataType", "RegionFlags", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection",
    "PhysicalDeltaX", "PhysicalDeltaY",
)  # fmt: skip
"""Type 1 of PS3.3 C.8.5.5: an item that lacks one says nothing that could be used."""

_POSITION = Attribute("RegionLocationMinX0", "number", most=65535)


def rebased(source: Dataset, box: Box) -> list[Dataset]:
    """The regions that show tissue or flow, in pixels of the crop.

    Args:
        source: header as received.
        box: of the crop, full-frame pixels, half open.

    Returns:
        Items with attributes of the published list; none for a region outside the crop or without calibration.
    """
    items = source.get("SequenceOfUltrasoundRegions") or []
    return [made for item in items if (made := _rebased(item, box)) is not None]


def _rebased(item: Dataset, box: Box) -> Dataset | None:
    values = {
        keyword: number(item, attribute) for keyword, attribute in _BY_KEYWORD.items() if attribute.how == "number"
    }
    corners = [_position(item, keyword) for keyword in _CORNERS]
    if None in (*corners, *(values[keyword] for keyword in _NEEDED)):
        return None
    x0, y0, x1, y1 = (int(one or 0) for one in corners)
    left, top, right, bottom = max(x0, box[0]), max(y0, box[1]), min(x1, box[2] - 1), min(y1, box[3] - 1)
    if left >= right or top >= bottom:
        return None
    made: dict[str, Any] = {keyword: value for keyword, value in values.items() if value is not None}
    for keyword, moved in (("ReferencePixelX0", left - x0), ("ReferencePixelY0", top - y0)):
        if keyword in made:
            made[keyword] -= moved
    here = (left - box[0], top - box[1], right - box[0], bottom - box[1])
    made |= dict(zip(_CORNERS, here, strict=True))
    rebased_item = Dataset()
    for attribute in REGION:
        if attribute.keyword in made:
            setattr(rebased_item, attribute.keyword, written([made[attribute.keyword]], attribute.vr))
    return rebased_item


def _position(item: Dataset, keyword: str) -> float | None:
    return number(item, Attribute(keyword, "number", least=_POSITION.least, most=_POSITION.most))
