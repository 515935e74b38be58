"""Three witnesses to one decision: what the object states, what is known of its screen, and what its pixels show.

The kept shape is what all of them allow, made smaller by a margin: never a union, never the whole frame. One witness
alone is not enough, unless people approved it. Anything unsure is quarantined with a reason. What this is not: a text
check inside the kept shape.

| region | layout | picture | kept |
|---|---|---|---|
| believed | none or published | found, sure | region cut with picture (and with the published bound) |
| believed | approved | found, sure | all three |
| believed | approved | none, or unsure | region cut with the approved polygon |
| missing or not believed | approved | found, sure, IoU >= 0.95 with the polygon | polygon cut with picture |
| anything else | | | nothing |
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.fit import Asked
from dicom_ai.crop.polygon import box_of, polygons_of
from dicom_ai.crop.region import RegionVote
from dicom_ai.crop.support import Support
from dicom_ai.kept import Box, CropOutcome, Mask, Polygon, box_within, mask_of

LEAST_INSIDE = 0.90
"""Of the picture found must lie inside the stated region, or inside a published layout. A picture that sticks out
further belongs to a region written for another size; what sticks out is cut in any case."""

LEAST_COVERED = 0.08
"""Of the stated region must be picture. Narrow deep phased sectors cover about a tenth of a wide box; a probe in the
air or a found text block covers a few hundredths."""

LEAST_CONFIDENCE = 0.80
"""How well fitted shape and lit picture cover each other, under which the picture found is no witness."""

LEAST_SEEN = 0.30
"""Of the points along each side, top and bottom must see the light end there; by chance a seventh does. Where a picture
fades into the dark its end is a guess. Only points inside the region count, because it cuts the rest."""

WELL = 3
"""Pixels inside the region from which a point counts."""

MOST_LOPSIDED = 0.30
"""Difference between the lean of the two sides over the larger one. A picture half of which is black shows one side of
the shape and an upright line; which part of the screen is dark tissue cannot be told then."""

LEAST_STEADY = 0.50
"""Of the points that see the light end over the whole clip must see it in its first, middle and last frame too, on each
side, top and bottom: one clip has one layout, and what differs more is a change of depth or layout in mid-clip."""

LEAST_ALIKE = 0.95
"""IoU of the picture found and an approved layout, if no region is believed."""

MOST_STRAY = 0.05
"""Of the picture found may lie outside of an approved layout."""

MARGIN = 2
"""Pixels taken off all around. Measured on 92 accepted screens: with 1, pixels beyond the true scan area survive on
88 % of them, with 2 on 2 %, with 3 on 2 %; tissue kept is 0.994, 0.984 and 0.976 (medians)."""


@dataclass
class _Case:
    """What is known of one object."""

    vote: RegionVote
    layout: Layout | None
    size: tuple[int, int]
    frames: int
    said: dict[str, Any] | None = field(default=None)

    @cached_property
    def known(self) -> Mask | None:
        """Where the layout keeps; None without one."""
        return None if self.layout is None else mask_of(self.layout.keep, *self.size)

    @property
    def is_approved(self) -> bool:
        return self.layout is not None and self.layout.status == "approved"

    def refused(self, reason: str) -> CropOutcome:
        return CropOutcome("quarantined", reason, *self.size, self.frames, votes=self.votes())

    def votes(self) -> dict[str, Any]:
        return {"regions": self.vote.row(), "layout": self.layout and self.layout.name, "support": self.said}


def needs_pixels(vote: RegionVote, layout: Layout | None) -> bool:
    """Whether the pixels can still change the decision."""
    return vote.reason is None or (layout is not None and layout.status == "approved")


def decide(
    vote: RegionVote,
    layout: Layout | None,
    support: Support | None,
    *,
    size: tuple[int, int],
    frames: int,
    single: Sequence[float] = (),
) -> CropOutcome:
    """Decide what of an object is kept.

    Args:
        vote: what the object states.
        layout: the entry of the catalogue for its device and frame size, if there is one.
        support: what its pixels show (for a clip, over time); None when nothing was found or looked for.
        size: rows and columns of the frame.
        frames: NumberOfFrames.
        single: for a clip, how far the first, middle and last frame agree with `support`, 0..1 (`steady.steadiness`).

    Returns:
        Status "cropped" with polygons and box, or "quarantined" with the reason.
    """
    case = _Case(vote, layout, size, frames)
    if not needs_pixels(vote, layout):
        return case.refused(vote.reason or "no_regions")
    if support is None and (vote.reason is not None or not case.is_approved):
        return case.refused(vote.reason or "no_picture")
    stated = _stated(case)
    if support is None:
        return _kept(case, stated, np.ones(size, np.bool_) if case.known is None else case.known)
    picture = mask_of(support.polygons, *size)
    case.said = _said(support, picture, stated, single)
    return _agreed(case, stated, picture)


def _stated(case: _Case) -> tuple[Box, ...]:
    """Where a picture may be, one box for every stated region; anywhere when none is believed."""
    rows, columns = case.size
    return case.vote.boxes or ((0, 0, columns, rows),)


def _said(support: Support, picture: Mask, stated: Sequence[Box], single: Sequence[float]) -> dict[str, Any]:
    common = _count_in(picture, stated)
    area = _count_in(np.ones_like(picture), stated) if len(stated) > 1 else _area(stated[0])
    return support.row() | {
        "inside": round(common / max(1, _count(picture)), 3),
        "covered": round(common / max(1, area), 3),
        "seen": round(_seen(support, stated), 3),
        "steady": round(min(single, default=1.0), 3),
    }


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _count_in(mask: Mask, boxes: Sequence[Box]) -> int:
    """Pixels of a mask that lie in any of the boxes."""
    rest, total = mask.copy() if len(boxes) > 1 else mask, 0
    for x0, y0, x1, y1 in boxes:
        total += _count(rest[y0:y1, x0:x1])
        if len(boxes) > 1:
            rest[y0:y1, x0:x1] = False
    return total


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _seen(support: Support, stated: Sequence[Box]) -> float:
    """Share of points that see the light end, on the worst of the edges of which a quarter lies well inside a box."""
    if support.kind == "free":
        return 0.0
    shares = [1.0]
    for edge in support.edges:
        inside = [point.is_seen for point in edge if any(_is_well_in(point, box) for box in stated)]
        if inside and len(inside) * 4 >= len(edge):
            shares.append(sum(inside) / len(inside))
    return min(shares)


def _is_well_in(point: Asked, box: Box) -> bool:
    x0, y0, x1, y1 = box
    return x0 + WELL <= point.x < x1 - WELL and y0 + WELL <= point.y < y1 - WELL


def _agreed(case: _Case, stated: Sequence[Box], picture: Mask) -> CropOutcome:
    said, layout, allowed = case.said or {}, case.known, picture
    if layout is not None:
        allowed = picture & layout
        found, common = _count(picture), _count(allowed)
        stray = (found - common) / max(1, found)
        alike = common / max(1, found + _count(layout) - common)
        said |= {"stray": round(stray, 3), "alike": round(alike, 3)}
        if stray > (MOST_STRAY if case.is_approved else 1 - LEAST_INSIDE):
            return case.refused("layout_disagrees")
    reason = _disagreement(said)
    if case.vote.reason is not None:
        is_enough = reason is None and said["alike"] >= LEAST_ALIKE
        return _kept(case, stated, allowed) if is_enough else case.refused(case.vote.reason)
    if reason is None:
        return _kept(case, stated, allowed)
    if layout is None or not case.is_approved or said["steady"] < LEAST_STEADY:
        return case.refused(reason)
    return _kept(case, stated, layout)


def _disagreement(said: dict[str, Any]) -> str | None:
    if said["covered"] < LEAST_COVERED and said["inside"] >= LEAST_INSIDE:
        return "no_picture"
    is_agreed = (
        said["inside"] >= LEAST_INSIDE
        and said["covered"] >= LEAST_COVERED
        and said["confidence"] >= LEAST_CONFIDENCE
        and said["seen"] >= LEAST_SEEN
        and said["lopsided"] <= MOST_LOPSIDED
        and said["steady"] >= LEAST_STEADY
    )
    return None if is_agreed else "witnesses_disagree"


def _kept(case: _Case, stated: Sequence[Box], allowed: Mask) -> CropOutcome:
    """What picture and layout allow, in the stated boxes and outside of what is never kept, less the margin."""
    if case.vote.never:
        allowed = allowed.copy()
    for x0, y0, x1, y1 in case.vote.never:
        allowed[y0:y1, x0:x1] = False
    keep = tuple(polygon for window in stated for polygon in _inner(allowed, window))
    box = box_within(keep, *case.size)
    if box is None:
        return case.refused("no_picture")
    return CropOutcome("cropped", None, *case.size, case.frames, keep=keep, box=box, votes=case.votes())


def _inner(picture: Mask, window: Box) -> tuple[Polygon, ...]:
    """Outlines of what is left in a window once the margin is taken off; the window's own edge counts as an edge."""
    left, top, right, bottom = window
    box = box_of(picture[top:bottom, left:right])
    if box is None:
        return ()
    x0, y0, x1, y1 = box[0] + left, box[1] + top, box[2] + left, box[3] + top
    part = cv2.copyMakeBorder(
        picture[y0:y1, x0:x1].view(np.uint8), MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=0
    )
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    return polygons_of(cv2.erode(part, disk).view(np.bool_), (x0 - MARGIN, y0 - MARGIN))
