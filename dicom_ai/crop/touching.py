"""Strokes that cross the kept edge: what is drawn on the flat ground around a kept shape takes its place with it.

Around a scan area a screen is flat, so whatever stands out there is drawn. Where it comes as near to the kept shape
as a letter is large, the shape loses that much around it, and around the letters in line with it that stand on the
same ground: a line of text may lie over a tip or a dark side that the shape goes on into. Where that is more than a
bite, a person should look. What this is not: a search for text on tissue (`text`); nothing is ever added to a shape.
"""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.evidence import FLAT, grown
from dicom_ai.crop.polygon import box_of, polygons_of
from dicom_ai.kept import Box, CropOutcome, Mask, Polygon, mask_of

Grey = npt.NDArray[np.uint8]

STROKE, SURE = 10, 16
"""Grey levels between neighbouring pixels at the edge of a stroke, and somewhere along it. What lossy compression
leaves on flat ground differs by less; the faintest legible letter stands out by 25, its thinnest strokes by half."""

RIM = 8
"""Pixels beyond the kept shape in which light may still be the picture's: the margin, and what a fit misses."""

CLEAR = 2
"""Pixels of ground between a stroke and the kept shape that tell them apart: nothing of such a stroke lies in the
shape, only other letters of its line may."""

LETTER = (4, 40)
"""Least and most size of a letter, pixels."""

STILL, ALONE = 6, 0.8
"""Grey levels by which the ground differs from itself, and the share of what surrounds a letter that is such ground."""

ACROSS = 0.2
"""Share of a letter that lies outside of a kept shape when it stands across the edge; one further inside is whole
enough to be found as text."""

GROUND = 0.25
"""Least share of ground in every column of a line of letters that stands on it."""

MOST_BITTEN = 0.04
"""Share of a kept shape that strokes may take; beyond it, text lies across the picture. Of 194 clean simulated
screens 0.97 of the tissue is kept at least, so 0.93 of it is left with a bite of this size."""

LEAST_PART = 0.05
"""Share of what is left that a part of it must have; a smaller one was cut off by strokes."""

_LINE = 8  # letters that are followed into a shape, one after the other


def without_strokes(outcome: CropOutcome, keep: Mask, grey: Grey, steps: Grey) -> tuple[CropOutcome, Mask]:
    """An outcome without what strokes around its shape reach, or a refusal when that is too much.

    Args:
        outcome: status "cropped", nothing blanked yet.
        keep: bool (rows, columns), `mask_of` its polygons.
        grey: uint8 (rows, columns), the brightest channel, for a clip the maximum over time.
        steps: uint8 (h, w), the range of grey levels in each block of some pixels of `grey` (`evidence.Evidence`).

    Returns:
        Outcome and mask as they came when no stroke reaches them; else those of a smaller shape, or an outcome
        "quarantined", reason "text_on_tissue".
    """
    left, lost = keep, 0
    for x0, y0, x1, y1 in _windows(steps >= STROKE, keep):
        taken = _taken(np.ascontiguousarray(grey[y0:y1, x0:x1]), np.ascontiguousarray(keep[y0:y1, x0:x1]))
        left = keep.copy() if left is keep else left
        part = left[y0:y1, x0:x1]
        bitten = part & (taken > 0)
        lost += int(np.count_nonzero(bitten))
        part ^= bitten
    if not lost or outcome.box is None:
        return outcome, keep
    share = float(lost / np.count_nonzero(keep))
    votes = (outcome.votes or {}) | {"strokes": round(share, 4)}
    x0, y0, x1, y1 = outcome.box
    polygons = _large(polygons_of(left[y0:y1, x0:x1], (x0, y0)))
    mask = mask_of(polygons, outcome.rows, outcome.columns)
    box = box_of(mask)
    if share > MOST_BITTEN or box is None:
        size = outcome.rows, outcome.columns, outcome.frames
        return CropOutcome("quarantined", "text_on_tissue", *size, votes=votes), mask
    return replace(outcome, keep=polygons, box=box, votes=votes), mask


def _windows(drawn: Mask, keep: Mask) -> Iterator[Box]:
    """Where strokes beyond the rim are so near to the kept shape that they may reach it; half open, pixels.

    Looked for on blocks, of which most screens have none.
    """
    side = max(1, round(max(keep.shape) / max(drawn.shape)))
    h, w = drawn.shape
    within = keep[side // 2 : h * side : side, side // 2 : w * side : side].astype(np.uint8)  # their middles
    reach = -(-(LETTER[1] + RIM) // side)
    reached = _across(drawn.view(np.uint8), within, LETTER[1] // side + 2)
    near = np.asarray(drawn.view(np.uint8) & grown(within, reach) & (1 - grown(within, -(-RIM // side))), np.uint8)
    if cv2.countNonZero(near):
        reached |= _reaching(near, within, -(-RIM // side) + 1, reach)
    if not cv2.countNonZero(reached):
        return
    for x, y, wide, high, _ in cv2.connectedComponentsWithStats(grown(reached, reach))[2][1:].tolist():
        yield x * side, y * side, min((x + wide) * side, keep.shape[1]), min((y + high) * side, keep.shape[0])


def _reaching(near: Grey, within: Grey, rim: int, reach: int) -> Grey:
    """What of the strokes beyond the rim is no further from a shape than it is large, 0/1."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near, ltype=cv2.CV_16U)
    is_reaching = np.zeros(count, np.uint8)
    for label, (x, y, wide, high, _) in enumerate(stats[1:].tolist(), start=1):
        x0, y0, x1, y1 = _widened((x, y, x + wide, y + high), min(rim + min(wide, high), reach), near.shape)
        is_reaching[label] = cv2.countNonZero(within[y0:y1, x0:x1]) > 0
    return np.asarray(is_reaching[labels], np.uint8)


def _across(drawn: Grey, within: Grey, most: int) -> Grey:
    """Narrow parts of what is drawn, 0/1, with blocks inside and outside of a shape: they have two that touch."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(drawn, ltype=cv2.CV_16U)
    square = np.ones((3, 3), np.uint8)
    is_across = np.zeros((2, count), np.bool_)
    is_across[0, labels[within > cv2.erode(within, square)]] = True
    is_across[1, labels[within < cv2.dilate(within, square)]] = True
    is_narrow = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].min(axis=1) <= most
    is_narrow[0] = False
    few = np.flatnonzero(is_across.all(axis=0) & is_narrow)
    chosen = np.zeros(count, np.uint8)
    chosen[few] = 1
    return np.asarray(chosen[labels] if len(few) else np.zeros_like(within), np.uint8)


def _widened(box: Box, by: int, shape: tuple[int, ...]) -> Box:
    return max(0, box[0] - by), max(0, box[1] - by), min(shape[1], box[2] + by), min(shape[0], box[3] + by)


def _taken(grey: Grey, keep: Mask) -> Grey:
    """What strokes take, 0/1: their surroundings as wide as a letter, then those of letters in line with them.

    A stroke with clear ground between it and the shape takes nothing itself: a line of text beside a picture, a scale,
    a mark. It only leads to the letters in line with it.
    """
    inside, square = keep.view(np.uint8), np.ones((3, 3), np.uint8)
    steps = np.asarray(cv2.subtract(cv2.dilate(grey, square), cv2.erode(grey, square)), np.uint8)
    drawn = np.asarray(cv2.threshold(steps, STROKE - 1, 1, cv2.THRESH_BINARY)[1], np.uint8)
    taken, reached, strokes = np.zeros_like(drawn), np.zeros_like(drawn), _Strokes(drawn)
    joined = strokes.met(grown(inside, CLEAR), strokes.sure(steps))
    beyond = _Strokes(drawn & (1 - grown(inside, RIM)))
    ground = int(np.bincount(grey[~keep], minlength=1).argmax())
    empty = np.asarray(cv2.inRange(grey, max(0, ground - STILL), min(255, ground + STILL)) > 0)
    for label in beyond.sure(steps):  # as much of a letter may be hidden by the rim
        whole = int(strokes.labels[beyond.labels == label][0])
        beyond.take(taken if whole in joined else reached, label, hidden=RIM)
        if whole in joined and max(beyond.stats[label, 2:4]) <= LETTER[1]:
            _follow(taken, beyond.stats[label, :4].tolist(), drawn, empty)
    within = np.bincount(strokes.labels[keep], minlength=strokes.count)
    is_across = (within > 0) & (within <= (1 - ACROSS) * strokes.stats[:, cv2.CC_STAT_AREA])
    empty |= steps <= FLAT  # the middle of a thick stroke
    letters = strokes.sure(steps) & set(np.flatnonzero(strokes.are_letters(empty)).tolist())
    met = letters & set(np.flatnonzero(is_across).tolist()) | strokes.met(taken | reached, letters)
    for _ in range(_LINE):
        for label in met:
            strokes.take(taken if label in joined else reached, label)
        letters -= met
        met = strokes.met(taken | reached, letters)
        if not met:
            break
    return taken


def _follow(taken: Grey, box: list[int], drawn: Grey, empty: Mask) -> None:
    """Add the rest of a line of letters of which one lies beyond the rim, both ways, as far as its ground goes.

    Where its last letter runs into the picture nothing else tells that letters are there: all of them hang together.
    """
    x, y, w, h = box
    rows = slice(max(0, y - 2), min(len(taken), y + h + 2))
    is_ground = empty[rows].mean(axis=0) >= GROUND
    is_written = drawn[rows].max(axis=0) > 0
    for step, start in ((1, x + w), (-1, x - 1)):
        last = at = start
        while 0 <= at < len(is_ground) and is_ground[at] and abs(at - last) <= h:
            last = at if is_written[at] else last
            at += step
        first, end = sorted((start, last + step * (h // 2)))
        taken[rows, max(0, first) : end + 1] = 1


class _Strokes:
    """The parts of a mask of 0/1 that hang together; 0 is what lies around them."""

    def __init__(self, drawn: Grey) -> None:
        self.count, self.labels, self.stats, _ = cv2.connectedComponentsWithStats(drawn, ltype=cv2.CV_32S)

    def take(self, taken: Grey, label: int, hidden: int = 0) -> None:
        """Add the surroundings of one, as wide as it is high (or wide, if that is less), and what may be hidden.

        Of a letter whose greater part is hidden a flat piece shows; it is as high as that is wide.
        """
        x, y, w, h, _ = self.stats[label].tolist()
        is_flat = min(w, h) < hidden and max(w, h) <= LETTER[1]
        large = max(w, h) if is_flat else min(w, h)
        by = min(max(large, LETTER[0]) + hidden, LETTER[1])
        x0, y0, x1, y1 = _widened((x, y, x + w, y + h), by, taken.shape)
        taken[y0:y1, x0:x1] |= grown(np.asarray(self.labels[y0:y1, x0:x1] == label), by)

    def sure(self, steps: Grey) -> set[int]:
        """Those with a step that no compression leaves."""
        return set(np.unique(self.labels[steps >= SURE]).tolist()) - {0}

    def met(self, taken: Grey, among: set[int]) -> set[int]:
        """Those of which any pixel is taken."""
        return among & set(np.unique(self.labels[taken > 0]).tolist())

    def are_letters(self, empty: Mask) -> Mask:
        """Which are no higher than a letter, or no wider, and stand on empty ground, apart from others.

        Of what is large and goes on beyond the window nobody knows how large it is: tissue, as a rule.
        """
        start, size = self.stats[:, :2], self.stats[:, 2:4]
        is_cut = ((start == 0) | (start + size == self.labels.shape[::-1])).any(axis=1)
        is_small = (size.min(axis=1) <= LETTER[1]) & ~(is_cut & (size.max(axis=1) > LETTER[1]))
        beside = cv2.dilate(self.labels.astype(np.float32), np.ones((7, 7), np.uint8)).astype(np.int32)
        beside[self.labels > 0] = 0
        around = np.bincount(beside.ravel(), minlength=self.count)
        alone = np.bincount(beside[empty], minlength=self.count)
        is_letter = is_small & (alone >= ALONE * np.maximum(around, 1))
        is_letter[0] = False
        return np.asarray(is_letter)


def _large(polygons: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
    """Polygons without the scraps that strokes have cut off."""
    areas = [cv2.contourArea(np.array(polygon, np.float32)) for polygon in polygons]
    return tuple(one for one, area in zip(polygons, areas, strict=True) if area >= LEAST_PART * sum(areas))
