"""Two witnesses to one decision: what the object states and what its pixels show must both exist and agree.

The kept shape is the stated region cut with the picture found, made smaller by a margin: never a union, never the
whole frame. Anything unsure is quarantined with a reason. What this is not: a text check inside the kept shape.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.polygon import box_of, polygons_of, rectangle
from dicom_ai.crop.region import RegionVote
from dicom_ai.crop.support import Support
from dicom_ai.kept import CropOutcome, Mask, Polygon, mask_of

LEAST_INSIDE = 0.80
"""Of the picture found must lie inside the stated region. A picture that sticks out further belongs to a region written
for another size; a fifth allows for scanners whose region ends short of the last rows (seen: 0.86). What sticks out is
cut in any case."""

LEAST_COVERED = 0.12
"""Of the stated region must be picture. Narrow deep phased sectors cover about a fifth of their box; a probe in the
air or a found text block covers a few hundredths."""

LEAST_CONFIDENCE = 0.80
"""IoU of fitted shape and lit picture under which the picture found is no witness."""

LEAST_STEADY = 0.80
"""IoU of the picture in the first, middle and last frame with the picture over time: one clip has one layout, and
what differs more is a change of depth or layout in mid-clip."""

MARGIN = 2
"""Pixels taken off all around: both witnesses are sure to about one pixel."""


def decide(
    vote: RegionVote,
    layout: Layout | None,
    support: Support | None,
    *,
    size: tuple[int, int],
    frames: int,
    single: Sequence[Support | None] = (),
) -> CropOutcome:
    """Decide what of an object is kept.

    Args:
        vote: what the object states.
        layout: the entry of the catalogue for its device and frame size, if there is one.
        support: what its pixels show (for a clip, over time); None when nothing was found or looked for.
        size: rows and columns of the frame.
        frames: NumberOfFrames.
        single: for a clip, what the first, middle and last frame show on their own.

    Returns:
        Status "cropped" with polygons and box, or "quarantined" with the reason.
    """
    rows, columns = size
    if vote.reason is not None:
        return _refused(vote.reason, (vote, layout, None), size=size, frames=frames)
    if support is None:
        return _refused("no_picture", (vote, layout, None), size=size, frames=frames)
    picture = mask_of(support.polygons, rows, columns)
    if layout is not None:
        picture &= mask_of(layout.keep, rows, columns)
    windows = [mask_of([rectangle(box)], rows, columns) for box in vote.boxes]
    region = np.logical_or.reduce(windows)
    common = float((picture & region).sum())
    said = support.row() | {
        "inside": round(common / max(1, picture.sum()), 3),
        "covered": round(common / max(1, region.sum()), 3),
        "steady": round(min((_iou(picture, one) for one in single), default=1.0), 3),
    }
    reason = _disagreement(said)
    if reason is not None:
        return _refused(reason, (vote, layout, said), size=size, frames=frames)
    keep = tuple(polygon for window in windows for polygon in _inner(picture & window))
    box = box_of(mask_of(keep, rows, columns))
    if box is None:
        return _refused("no_picture", (vote, layout, said), size=size, frames=frames)
    return CropOutcome("cropped", None, rows, columns, frames, keep=keep, box=box, votes=_votes(vote, layout, said))


def _votes(vote: RegionVote, layout: Layout | None, said: dict[str, Any] | None) -> dict[str, Any]:
    return {"regions": vote.row(), "layout": layout and layout.name, "support": said}


def _refused(
    reason: str,
    said: tuple[RegionVote, Layout | None, dict[str, Any] | None],
    *,
    size: tuple[int, int],
    frames: int,
) -> CropOutcome:
    return CropOutcome("quarantined", reason, *size, frames, votes=_votes(*said))


def _disagreement(said: dict[str, Any]) -> str | None:
    if said["covered"] < LEAST_COVERED and said["inside"] >= LEAST_INSIDE:
        return "no_picture"
    is_agreed = (
        said["inside"] >= LEAST_INSIDE
        and said["covered"] >= LEAST_COVERED
        and said["confidence"] >= LEAST_CONFIDENCE
        and said["steady"] >= LEAST_STEADY
    )
    return None if is_agreed else "witnesses_disagree"


def _iou(picture: Mask, one: Support | None) -> float:
    if one is None:
        return 0.0
    other = mask_of(one.polygons, *picture.shape)
    return float((picture & other).sum() / max(1, (picture | other).sum()))


def _inner(mask: Mask) -> tuple[Polygon, ...]:
    """Outlines of what is left once the margin is taken off; the frame's own edge counts as an edge."""
    side = 2 * MARGIN + 1
    framed = np.pad(mask.astype(np.uint8), MARGIN)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    eroded = cv2.erode(framed, disk)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return polygons_of(eroded > 0)
