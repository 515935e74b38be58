"""Sequence of Ultrasound Regions to boxes that may hold a picture: the scanner's own word, one of the witnesses.

The word alone never suffices: the box nearly always holds text, a logo or scales as well, and routers resize
pictures without touching it. It is only ever the outer bound. What this is not: the shape that is kept.

PS3.3 C.8.5.5: locations are zero-based and inclusive; several makers write the exclusive maximum instead.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydicom.dataset import Dataset

from dicom_ai.kept import Box

FORMAT_2D = 1
"""Region Spatial Format; 0 none, 2 M-mode, 3 spectral, 4 waveform and 5 graphics are never tissue."""

NEVER_KEPT = frozenset({2, 3, 4, 5})
"""Formats whose boxes are taken out of a 2D box that they overlap, whatever Region Flags say: bit 0, the priority, says
which calibration holds where regions overlap, not what is drawn there. Format 0 spans whole screens and takes nothing
out."""

BARS = frozenset({13, 14})
"""Region Data Type of grey and colour bars, which some makers state inside a 2D box; taken out as well."""

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
        reason: None, "no_regions", "region_overflow", "region_empty" or "region_whole_frame".
        seen: items of the sequence, any kind.
        never: half-open boxes of M-mode, spectra, waveforms and graphics, which no 2D region makes a picture.
    """

    boxes: tuple[Box, ...]
    reason: str | None
    seen: int
    never: tuple[Box, ...] = ()

    def row(self) -> dict[str, Any]:
        """The vote as small JSON."""
        boxes, never = [list(box) for box in self.boxes], [list(box) for box in self.never]
        return {"boxes": boxes, "reason": self.reason, "seen": self.seen} | ({"never": never} if never else {})


def region_vote(ds: Dataset) -> RegionVote:
    """Read the regions that show tissue or flow.

    Args:
        ds: a header with Rows and Columns; pixels are not needed.

    Returns:
        The believed boxes. One 2D region that cannot be believed discredits the whole sequence, since then the
        picture was changed after the regions were written; other items never do, a zero-width ECG is a known slip.
    """
    items = ds.get("SequenceOfUltrasoundRegions") or []
    rows, columns = int(ds.Rows), int(ds.Columns)
    boxes: list[Box] = []
    for item in items:
        if _integer(item, "RegionSpatialFormat") != FORMAT_2D:
            continue
        if _integer(item, "RegionDataType") not in TISSUE_OR_FLOW:
            continue
        corners = _corners(item)
        reason = _unbelievable(corners, rows=rows, columns=columns)
        if reason is not None:
            return RegionVote((), reason, len(items))
        box = _clamped(corners, rows=rows, columns=columns)
        if box not in boxes:
            boxes.append(box)
    if not boxes:
        return RegionVote((), "no_regions", len(items))
    if _covered(boxes) > LARGEST_SHARE * rows * columns:
        return RegionVote((), "region_whole_frame", len(items))
    never = (_clamped(_corners(item), rows=rows, columns=columns)
             for item in items if _is_never(item))  # fmt: skip
    return RegionVote(tuple(sorted(boxes)), None, len(items), tuple(sorted(box for box in never if _area(box))))


def _is_never(item: Dataset) -> bool:
    return _integer(item, "RegionSpatialFormat") in NEVER_KEPT or _integer(item, "RegionDataType") in BARS


def _corners(item: Dataset) -> Box:
    """Min X0, Min Y0, Max X1, Max Y1 as written; -1 for what is missing or no number."""
    x0, y0, x1, y1 = (_integer(item, f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1"))
    return tuple(-1 if value is None else value for value in (x0, y0, x1, y1))  # type: ignore[return-value]


def _unbelievable(corners: Box, *, rows: int, columns: int) -> str | None:
    x0, y0, x1, y1 = corners
    if max(x0, x1) > columns - 1 + LARGEST_OVERFLOW or max(y0, y1) > rows - 1 + LARGEST_OVERFLOW:
        return "region_overflow"
    box = _clamped(corners, rows=rows, columns=columns)
    if min(corners) < 0 or x1 <= x0 or y1 <= y0 or not _area(box):
        return "region_empty"
    return "region_whole_frame" if _area(box) > LARGEST_SHARE * rows * columns else None


def _clamped(corners: Box, *, rows: int, columns: int) -> Box:
    """The half-open box within the frame; nothing is made of a side that is missing or has no length."""
    x0, y0, x1, y1 = corners
    if min(corners) < 0 or x1 <= x0 or y1 <= y0:
        return 0, 0, 0, 0
    return min(x0, columns), min(y0, rows), min(x1 + 1, columns), min(y1 + 1, rows)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _covered(boxes: list[Box]) -> int:
    """Pixels in any of a few boxes."""
    ys = sorted({y for box in boxes for y in (box[1], box[3])})
    total = 0
    for top, bottom in pairwise(ys):
        edge = 0
        for x0, x1 in sorted((box[0], box[2]) for box in boxes if box[1] <= top and box[3] >= bottom):
            total += (bottom - top) * max(0, x1 - max(x0, edge))
            edge = max(edge, x1)
    return total


def _integer(item: Dataset, keyword: str) -> int | None:
    value = item.get(keyword)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
