"""Evidence to masks of what may be a picture: large areas densely filled with changing grey, on the blocks.

Text, bars, ticks, logos and body marks are thin, or flat, or small; density and opening remove them. What this is not:
the shape of a picture.
"""

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.evidence import PAINT, USUAL, Evidence, Grey, grown
from dicom_ai.kept import Mask

LEAST_SHARE, LEAST_PART = 0.01, 0.002
"""Of the frame: a picture smaller than this is a probe in the air or a mark; a loose part of one a crumb."""

LEAST_TEXT, STROKES = 0.001, 0.5
"""Share of the frame that text joined to a picture covers at least, and of it that is black. Measured on simulated
screens: 0.6 to 0.7 of large text; of narrow ends of a picture more only where nothing is brighter than 23 levels."""

LEAST_ENTROPY = 2.5
"""Bits over 256 grey levels inside the picture: speckle has 5 and more, very faint speckle 2.8; a page of text 1.8."""

DENSE, SPARSE = 127, 16
"""Share of lit pixels, x 255: over 3 blocks, of tissue; over 7 blocks without a bright pixel, of very faint speckle."""


def dense_blocks(seen: Evidence) -> Grey:
    """Blocks full of light, 0/1: of tissue, or of speckle so faint that no pixel near is bright."""
    bright = grown(seen.peak >= PAINT, 4)
    some = cv2.blur(seen.lit, (3, 3))
    faint = (cv2.blur(seen.lit, (7, 7)) > SPARSE) & (some > 0) & (bright == 0)
    dense = (cv2.blur(seen.sure, (3, 3)) > DENSE) | (some > DENSE) | faint
    return np.asarray(dense & (grown(seen.painted, 1) == 0), np.uint8)


def groups_of(grey: Grey, seen: Evidence, dense: Grey) -> list[list[Mask]]:
    """Masks of the pictures, each with the loose parts that may belong to it (largest first)."""
    height, width = dense.shape
    radius = max(3, round(0.016 * height))  # a text line is under 3 % of the height
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    opened = cv2.morphologyEx(
        cv2.copyMakeBorder(dense, radius, radius, radius, radius, cv2.BORDER_CONSTANT), cv2.MORPH_OPEN, disk
    )
    opened = np.ascontiguousarray(opened[radius:-radius, radius:-radius])  # the frame's edge is dark
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, ltype=cv2.CV_16U)
    sample = grey[: height * seen.scale : seen.scale, : width * seen.scale : seen.scale]
    parts = [
        (stats[label], np.asarray(labels == label))
        for label in sorted(range(1, count), key=lambda label: -int(stats[label][cv2.CC_STAT_AREA]))
        if stats[label][cv2.CC_STAT_AREA] >= LEAST_PART * height * width and _is_speckled(sample[labels == label])
    ]
    if not parts or parts[0][0][cv2.CC_STAT_AREA] < LEAST_SHARE * height * width:
        return []
    largest = parts[0][0]
    twins = [mask for stat, mask in parts[1:] if _is_twin(stat, largest)]
    first = _without_text(parts[0][1], sample, seen, radius)
    if twins:
        return [[first], [_without_text(twins[0], sample, seen, radius)]]
    return [[first, *(mask for _, mask in parts[1:])]]


def _without_text(picture: Mask, sample: Grey, seen: Evidence, radius: int) -> Mask:
    """A picture without the lines of large text that touch it: narrow, bright somewhere, and black between strokes."""
    side = 6 * radius + 1
    part = cv2.copyMakeBorder(picture.view(np.uint8), side, side, side, side, cv2.BORDER_CONSTANT)
    broad = cv2.morphologyEx(part, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))[side:-side, side:-side]
    narrow = picture & (grown(broad, 2) == 0)
    least = LEAST_TEXT * picture.size
    if np.count_nonzero(narrow) < least:
        return picture
    count, labels, stats, _ = cv2.connectedComponentsWithStats(narrow.view(np.uint8), ltype=cv2.CV_16U)
    for label in range(1, count):
        if stats[label][cv2.CC_STAT_AREA] < least:
            continue
        values = sample[labels == label]
        if (values <= seen.black + USUAL).mean() >= STROKES and np.percentile(values, 98) > PAINT // 4:
            picture = picture & (labels != label)
    return picture


def _is_speckled(values: Grey) -> bool:
    """Whether grey levels are those of a picture: many of them, or all of them faint."""
    share = np.bincount(values, minlength=256) / max(1, values.size)
    share = share[share > 0]
    entropy = float(-(share * np.log2(share)).sum())
    return entropy >= LEAST_ENTROPY or (entropy >= LEAST_ENTROPY / 2 and int(np.percentile(values, 98)) < PAINT // 4)


def _is_twin(stat: npt.NDArray[np.int32], largest: npt.NDArray[np.int32]) -> bool:
    """Whether a component stands beside the largest as the other half of a dual view does."""
    x, y, w, h, area = (int(value) for value in stat)
    lx, ly, lw, lh, largest_area = (int(value) for value in largest)
    is_beside = x >= lx + 0.9 * lw or lx >= x + 0.9 * w
    overlap = min(y + h, ly + lh) - max(y, ly)
    return is_beside and area >= 0.3 * largest_area and overlap >= 0.5 * max(h, lh)
