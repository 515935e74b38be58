"""Sequence of Ultrasound Regions to boxes that may hold a picture: the scanner's own word, the first witness.

The word alone never suffices: the box nearly always holds text, a logo or scales as well, and routers resize
pictures without touching it. It is only ever the outer bound. What this is not: the shape that is kept.

PS3.3 C.8.5.5: locations are zero-based and inclusive; several makers write the exclusive maximum instead.
"""

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from dicom_ai.kept import Box

FORMAT_2D = 1
"""Region Spatial Format; 0 none, 2 M-mode, 3 spectral, 4 waveform and 5 graphics are never tissue."""

TISSUE_OR_FLOW = frozenset({1, 2})
"""Region Data Type of B-mode and colour flow. Bars, traces and format-0 screens are never kept."""

LARGEST_OVERFLOW = 1
"""Pixels a maximum may lie past the last row or column. Max = Columns is a known slip; more means that the picture
was resized after the regions were written."""

LARGEST_SHARE = 0.95
"""A region over more of the frame than this says nothing: the header line would be inside it."""


@dataclass(frozen=True)
class RegionVote:
    """What the object itself says about where the picture is.

    Attributes:
        boxes: half-open boxes of the believed 2D regions, left to right; empty exactly when `reason` is set.
        reason: None, "no_regions" or "regions_not_believed".
        seen: items of the sequence, any kind.
    """

    boxes: tuple[Box, ...]
    reason: str | None
    seen: int

    def row(self) -> dict[str, Any]:
        """The vote as small JSON."""
        return {"boxes": [list(box) for box in self.boxes], "reason": self.reason, "seen": self.seen}


def region_vote(ds: Dataset) -> RegionVote:
    """Read the regions that show tissue or flow.

    Args:
        ds: a header with Rows and Columns; pixels are not needed.

    Returns:
        The believed boxes; one 2D region that cannot be believed discredits the whole sequence, since then the
        picture was changed after the regions were written.
    """
    items = ds.get("SequenceOfUltrasoundRegions") or []
    boxes: list[Box] = []
    for item in items:
        if _integer(item, "RegionSpatialFormat") != FORMAT_2D:
            continue
        if _integer(item, "RegionDataType") not in TISSUE_OR_FLOW:
            continue
        box = _believed(item, rows=int(ds.Rows), columns=int(ds.Columns))
        if box is None:
            return RegionVote((), "regions_not_believed", len(items))
        if box not in boxes:
            boxes.append(box)
    return RegionVote(tuple(sorted(boxes)), None if boxes else "no_regions", len(items))


def _believed(item: Dataset, *, rows: int, columns: int) -> Box | None:
    corners = [_integer(item, f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    x0, y0, x1, y1 = (-1 if value is None else value for value in corners)
    if x0 < 0 or y0 < 0 or x1 <= x0 or y1 <= y0:
        return None
    if x1 > columns - 1 + LARGEST_OVERFLOW or y1 > rows - 1 + LARGEST_OVERFLOW:
        return None
    box = x0, y0, min(x1 + 1, columns), min(y1 + 1, rows)
    share = (box[2] - box[0]) * (box[3] - box[1]) / (rows * columns)
    return None if share > LARGEST_SHARE or x0 >= columns or y0 >= rows else box


def _integer(item: Dataset, keyword: str) -> int | None:
    value = item.get(keyword)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
